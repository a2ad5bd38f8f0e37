"""One run's chunks, and those who subscribe to them."""

from collections.abc import Sequence

import pytest

from inference.chunks import Chunk
from inference.errors import EngineFailed
from inference.runs.buffer import Buffer, Subscription
from inference.runs.run import Receipt


def words(*texts: str) -> list[Chunk]:
    return [Chunk(content=text) for text in texts]


class Reader:
    """Keeps what it is told; ``capacity`` is how many batches it takes at once."""

    def __init__(self, buffer: Buffer, after: int = 0, *, capacity: int = 1_000, whole: bool = False) -> None:
        self.heard: list[tuple[int, str | None]] = []
        self.has_ended = False
        self.error: Exception | None = None
        self.capacity = capacity
        self.subscription = Subscription(buffer, self, after, whole=whole, on_leave=lambda _, is_slow: None)

    def read(self, capacity: int = 1_000) -> "Reader":
        """Take what is there."""
        self.capacity = capacity
        self.subscription.resume()
        return self

    def chunks_came(self, first: int, chunks: Sequence[Chunk]) -> None:
        self.heard += [(number, chunk.content) for number, chunk in enumerate(chunks, start=first)]
        self.capacity -= 1
        if not self.capacity:
            self.subscription.pause()

    def run_ended(self, error: Exception | None) -> None:
        self.has_ended, self.error = True, error

    def run_settled(self, receipt: Receipt) -> None:
        assert self.has_ended


def begun() -> Buffer:
    buffer = Buffer()
    buffer.is_begun = True
    return buffer


def append(buffer: Buffer, *texts: str) -> None:
    buffer.append(words(*texts))
    buffer.push()


def test_a_subscriber_gets_everything_once_and_in_order() -> None:
    buffer = begun()
    early = Reader(buffer).read()
    append(buffer, "a", "b")
    append(buffer, "c")
    buffer.finish()
    everything = [(1, "a"), (2, "b"), (3, "c")]
    assert early.heard == Reader(buffer).read().heard == everything
    assert early.has_ended


@pytest.mark.parametrize(("after", "numbers"), [(-5, [1, 2, 3]), (0, [1, 2, 3]), (2, [3]), (3, []), (99, [])])
def test_a_subscriber_begins_behind_the_chunk_it_names(after: int, numbers: list[int]) -> None:
    buffer = begun()
    append(buffer, "a", "b", "c")
    buffer.finish()
    assert [number for number, _ in Reader(buffer, after).read().heard] == numbers


def test_what_is_handed_to_a_subscriber_that_is_not_paused_is_delivered() -> None:
    drained: list[bool] = []
    buffer = Buffer(lambda: drained.append(True))
    buffer.is_begun = True
    reader = Reader(buffer)
    append(buffer, "a", "b")
    assert buffer.delivered == 0
    reader.read(capacity=1)
    assert buffer.delivered == 2
    append(buffer, "c")
    buffer.finish()
    assert (buffer.delivered, drained, reader.has_ended) == (2, [], False)
    reader.read()
    assert (buffer.delivered, drained, reader.has_ended) == (3, [True], True)


def test_nothing_is_handed_over_before_the_answer_begins() -> None:
    buffer = Buffer()
    early, whole = Reader(buffer).read(), Reader(buffer, whole=True).read()
    append(buffer, "a")
    assert early.heard == []
    buffer.finish(EngineFailed())
    for reader in (early, whole, Reader(buffer).read()):
        assert (reader.heard, type(reader.error)) == ([], EngineFailed)
    assert buffer.delivered == 0


def test_an_error_comes_behind_what_was_there() -> None:
    buffer = begun()
    append(buffer, "a", "b")
    buffer.finish(EngineFailed())
    reader = Reader(buffer).read()
    assert (reader.heard, type(reader.error)) == ([(1, "a"), (2, "b")], EngineFailed)


def test_a_whole_answer_comes_at_the_end_and_only_if_it_has_not_failed() -> None:
    for error in (None, EngineFailed()):
        buffer = begun()
        reader = Reader(buffer, whole=True).read()
        append(buffer, "a")
        append(buffer, "b")
        assert (reader.heard, buffer.delivered) == ([], 0)
        buffer.finish(error)
        assert (reader.heard, reader.error) == (([], error) if error else ([(1, "a"), (2, "b")], None))
        assert buffer.delivered == (0 if error else 2)


def test_a_finished_answer_is_drained_when_its_last_subscriber_leaves() -> None:
    drained: list[bool] = []
    buffer = Buffer(lambda: drained.append(True))
    buffer.is_begun = True
    readers = [Reader(buffer), Reader(buffer)]
    append(buffer, "a")
    buffer.finish()
    for reader in readers:
        assert not drained
        reader.subscription.leave()
    assert (drained, buffer.delivered) == ([True], 0)


def test_what_waits_for_a_subscriber_is_counted_in_bytes() -> None:
    buffer = begun()
    reader = Reader(buffer)
    append(buffer, "x" * 1_000)
    assert 1_000 <= reader.subscription.lag_bytes < 2_000
    reader.read()
    assert reader.subscription.lag_bytes == 0
