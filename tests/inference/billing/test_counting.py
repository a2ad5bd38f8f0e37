"""Where the figures of a charge come from."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.billing import counting, prompt
from inference.chunks import NOTHING, Chunk, FunctionDelta, ToolCallDelta, Usage
from inference.engines.base import EndpointAddress, Engine
from inference.models import Run
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.server import FakeServer
from tests.fakes.tgi import FakeTgi
from tests.inference.clients import engine_for
from tests.inference.scenes import chat, prompt_tokens

ENGINE, TOKENIZER, ESTIMATE = Run.Counting.ENGINE, Run.Counting.TOKENIZER, Run.Counting.ESTIMATE


def answer_of(*chunks: Chunk) -> list[Chunk]:
    return list(chunks)


def text(content: str, usage: Usage | None = None) -> Chunk:
    return Chunk(content=content, usage=usage)


def engine_at(server: FakeServer) -> Engine:
    return engine_for(EndpointAddress("tgi", server.url))


async def test_the_engines_own_final_count_is_taken() -> None:
    answer = answer_of(text("a"), text(" b"), Chunk(finish_reason="stop"), Chunk(usage=Usage(9, 3)))
    assert await counting.count(answer, 4, chat(), None) == (Usage(9, 3), ENGINE)
    # The counts behind the last output belong to it, though nobody was sent them.
    assert await counting.count(answer, 2, chat(), None) == (Usage(9, 3), ENGINE)


async def test_running_counts_are_taken_up_to_what_was_delivered() -> None:
    answer = answer_of(text("a", Usage(9, 1)), text("b", Usage(9, 2)), text("c", Usage(9, 3)))
    for delivered in (1, 2, 3):
        assert await counting.count(answer, delivered, chat(), None) == (Usage(9, delivered), ENGINE)


async def test_of_equal_counts_the_ones_that_tell_most_of_the_prompt_are_taken() -> None:
    running, final = Usage(9, 1), Usage(9, 1, cached_tokens=8)
    # As vLLM tells what was cached, in the end; and as llama.cpp tells it, all the time.
    for counts in ((running, final), (final, running)):
        answer = answer_of(text("a", counts[0]), Chunk(finish_reason="stop", usage=counts[0]), Chunk(usage=counts[1]))
        assert await counting.count(answer, 3, chat(), None) == (final, ENGINE)
    answer = answer_of(text("a", Usage(1, 1)), Chunk(usage=Usage(9, 1)))
    assert await counting.count(answer, 2, chat(), None) == (Usage(9, 1), ENGINE)


async def test_counts_that_make_no_sense_hide_none_that_do() -> None:
    answer = answer_of(text("a", Usage(9, 1)), Chunk(usage=Usage(9, 5_000)))
    sense = counting.Sense(prompt=4_096, completion=1_000)
    assert await counting.count(answer, 2, chat(), None, sense) == (Usage(9, 1), ENGINE)


async def test_nothing_delivered_is_nothing_used() -> None:
    answer = answer_of(Chunk(usage=Usage(9, 0)), text("a"), Chunk(usage=Usage(9, 1)))
    for delivered in (0, 1):
        assert await counting.count(answer, delivered, chat(), None) == (NOTHING, ENGINE)
    assert await counting.count(answer_of(), 0, chat(), None) == (NOTHING, ENGINE)


async def test_what_was_delivered_of_a_longer_answer_is_tokenized() -> None:
    with FakeTgi() as tgi:
        answer = answer_of(text("The quick"), text(" brown"), text(" fox"), Chunk(usage=Usage(77, 4)))
        # The prompt is as the engine told it, the completion as its tokenizer counts it.
        assert await counting.count(answer, 2, chat(), engine_at(tgi)) == (Usage(77, 3), TOKENIZER)
        cut = answer_of(text("The quick"), text(" brown"))
        assert await counting.count(cut, 1, chat(), engine_at(tgi)) == (Usage(prompt_tokens(), 2), TOKENIZER)


async def test_reasoning_and_tool_calls_are_counted_too() -> None:
    call = ToolCallDelta(0, "c1", "function", FunctionDelta("weather", " in Oslo"))
    with FakeTgi() as tgi:
        answer = answer_of(Chunk(reasoning="Let me think "), Chunk(content="Well"), Chunk(tool_calls=(call,)))
        usage, _ = await counting.count(answer, 3, chat(), engine_at(tgi))
    # Let, me, think, Wellweather, in, Oslo
    assert usage.completion_tokens == 6


async def test_no_more_is_counted_than_the_engine_generated() -> None:
    with FakeTgi() as tgi:
        answer = answer_of(text("a b c d e f"), text(" g"), Chunk(usage=Usage(9, 3, 2)))
        assert await counting.count(answer, 1, chat(), engine_at(tgi)) == (Usage(9, 3, 2), TOKENIZER)


async def test_tokens_that_an_engine_numbers_are_counted_by_that() -> None:
    pieces = answer_of(*(Chunk(content=word, tokens=number) for number, word in ((1, "a"), (4, "b"), (6, "c"))))
    with FakeTgi() as tgi:
        # Between them were tokens without text.
        assert await counting.count(pieces, 2, chat(), engine_at(tgi)) == (Usage(prompt_tokens(), 4), TOKENIZER)
    usage, source = await counting.count(pieces, 3, chat(), None)
    assert (usage.completion_tokens, source) == (6, ESTIMATE)


async def test_without_a_tokenizer_the_count_is_an_estimate_that_says_so() -> None:
    with FakeTgi() as gone:
        pass
    answer = answer_of(text("x" * 400), text("y"))
    for engine in (engine_at(gone), None):
        usage, source = await counting.count(answer, 1, chat(), engine)
        assert (usage.completion_tokens, source) == (100, ESTIMATE)
        assert usage.prompt_tokens > 0


@pytest.mark.parametrize("usage", [Usage(-1, 5), Usage(5, -1), Usage(5, 5, -1), Usage(2**31, 1), Usage(1, 10**18)])
async def test_counts_that_cannot_be_are_not_believed(usage: Usage) -> None:
    assert await counting.count(answer_of(text("abcd", usage)), 1, chat(), None) == (
        Usage(prompt.estimate(chat(), None), 1),
        ESTIMATE,
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=5), st.booleans()), max_size=8), st.integers(0, 8))
async def test_no_count_is_negative_and_output_is_never_free(pieces: list[tuple[str, bool]], delivered: int) -> None:
    chunks = [text(content, Usage(9, number) if told else None) for number, (content, told) in enumerate(pieces, 1)]
    usage, _ = await counting.count(answer_of(*chunks), min(delivered, len(chunks)), chat(), None)
    has_output = any(content for content, _ in pieces[:delivered])
    assert (usage.completion_tokens > 0) == has_output
    assert (usage.prompt_tokens > 0) == has_output


async def test_an_early_count_is_the_least_and_a_late_one_the_most() -> None:
    said = [text(f" word{number}") for number in range(40)]
    only_first = answer_of(text("a", Usage(6, 1)), *said)
    usage, source = await counting.count(only_first, 41, chat(), None)
    assert source == Run.Counting.ESTIMATE
    assert usage.completion_tokens > 40
    with_the_true_one_last = answer_of(*(text("word", Usage(6, 1)) for _ in range(40)), Chunk(usage=Usage(6, 50)))
    assert await counting.count(with_the_true_one_last, 41, chat(), None) == (Usage(6, 50), Run.Counting.ENGINE)


@pytest.mark.parametrize("nonsense", [Usage(0, 0), Usage(6, 0), Usage(0, 40), Usage(6, 2**31 - 1), Usage(5_000, 40)])
async def test_counts_that_make_no_sense_are_no_counts(nonsense: Usage) -> None:
    said = [text(f" word{number}", nonsense) for number in range(40)]
    sense = counting.Sense(prompt=4_096, completion=1_000)
    usage, source = await counting.count(answer_of(*said), 40, chat(), None, sense)
    assert source == Run.Counting.ESTIMATE
    assert 40 <= usage.completion_tokens <= 100
    assert 1 <= usage.prompt_tokens <= 4_096


@pytest.mark.parametrize("counted", [-5, 10**9, 2**70])
async def test_a_tokenizer_that_makes_no_sense_counts_nothing(counted: int) -> None:
    sense = counting.Sense(prompt=4_096, completion=1_000)
    with FakeOpenAI(owned_by="vllm") as vllm:
        engine = engine_for(EndpointAddress("openai", vllm.url, upstream_model=vllm.model))
        vllm.script.response = (200, "application/json", b'{"count": %d}' % counted)
        usage, source = await counting.count(answer_of(text("x" * 400)), 1, chat(), engine, sense)
    assert (usage.completion_tokens, source) == (100, ESTIMATE)
    assert usage.prompt_tokens == prompt.estimate(chat(), None)
