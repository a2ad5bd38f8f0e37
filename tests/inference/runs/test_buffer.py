"""One answer, its writer and its readers."""

import asyncio

import pytest

from inference.chunks import Chunk
from inference.errors import EngineFailed
from inference.runs.buffer import Answer, Batch, Reader


def words(*texts: str) -> list[Chunk]:
    return [Chunk(content=text) for text in texts]


async def read(reader: Reader) -> list[Batch]:
    return [batch async for batch in reader]


def contents(batches: list[Batch]) -> list[tuple[int, str | None]]:
    """Return every chunk with its number."""
    return [(batch.first + place, chunk.content) for batch in batches for place, chunk in enumerate(batch.chunks)]


async def test_a_reader_gets_everything_once_and_in_order() -> None:
    answer = Answer()
    early = Reader(answer, 0)
    answer.readers.add(early)
    reading = asyncio.ensure_future(read(early))
    answer.append(words("a", "b"))
    await asyncio.sleep(0)
    answer.append(words("c"))
    answer.finish()
    everything = [(1, "a"), (2, "b"), (3, "c")]
    assert contents(await reading) == everything
    assert contents(await read(Reader(answer, 0))) == everything


@pytest.mark.parametrize(("after", "numbers"), [(-5, [1, 2, 3]), (0, [1, 2, 3]), (2, [3]), (3, []), (99, [])])
async def test_a_reader_begins_behind_the_chunk_it_names(after: int, numbers: list[int]) -> None:
    answer = Answer()
    answer.append(words("a", "b", "c"))
    answer.finish()
    assert [number for number, _ in contents(await read(Reader(answer, after)))] == numbers


async def test_what_was_read_is_delivered_when_more_is_asked_for() -> None:
    answer = Answer()
    answer.append(words("a", "b"))
    batches = Reader(answer, 0).batches()
    await anext(batches)
    assert answer.delivered == 0
    answer.append(words("c"))
    await anext(batches)
    assert answer.delivered == 2
    answer.finish()
    assert [batch async for batch in batches] == []
    assert answer.delivered == 3
    await answer.drained()


async def test_an_error_comes_behind_what_was_there() -> None:
    answer = Answer()
    answer.append(words("a"))
    answer.finish(EngineFailed())
    batches = Reader(answer, 0).batches()
    assert (await anext(batches)).chunks == words("a")
    with pytest.raises(EngineFailed):
        await anext(batches)


async def test_a_finished_answer_is_drained_when_its_last_reader_leaves() -> None:
    answer = Answer()
    readers = [Reader(answer, 0), Reader(answer, 0)]
    answer.readers.update(readers)
    answer.append(words("a"))
    answer.finish()
    drained = asyncio.ensure_future(answer.drained())
    for reader in readers:
        await asyncio.sleep(0)
        assert not drained.done()
        answer.leave(reader)
    await drained
    assert answer.delivered == 0


async def test_what_waits_for_a_reader_is_counted_in_bytes() -> None:
    answer = Answer()
    reader = Reader(answer, 0)
    answer.append(words("x" * 1_000))
    assert 1_000 <= reader.lag_bytes < 2_000
    await anext(reader.batches())
    assert reader.lag_bytes == 0
