"""A hold that grows with its answer, and an answer that ends where the hold can grow no more."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.caller import Caller
from credits import ledger
from credits.errors import InsufficientCredits
from credits.models import Entry, Hold
from inference.errors import EngineFailed
from inference.models import Endpoint, Run
from inference.runs.spine import LiveRun
from tests.fakes.openai_server import FakeLlamaCpp, FakeOpenAI
from tests.fakes.tgi import WORDS, FakeTgi
from tests.fakes.tgi_events import usage
from tests.inference.listening import Listener, begun, read_whole
from tests.inference.payers import balance, bound_nano, finish, grant, limit_project, paths, start
from tests.inference.scenes import (
    CACHED_NANO,
    CONTEXT_TOKENS,
    DOLLAR,
    INPUT_NANO,
    OUTPUT_NANO,
    asked,
    cost_nano,
    prompt_tokens,
    register,
)
from tests.patience import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]

PAID = 40


def words(count: int) -> str:
    """Return the fake engines' first words."""
    return "".join((WORDS * (count // len(WORDS) + 1))[:count])


@pytest.fixture
def openai(transactional_db: None) -> Iterator[FakeOpenAI]:
    """A callable model on a server that counts nothing but in the end."""
    with FakeOpenAI() as server:
        register(server, Endpoint.Kind.OPENAI)
        yield server


@pytest.fixture
def llamacpp(transactional_db: None) -> Iterator[FakeLlamaCpp]:
    """A callable model on a server that counts all the time."""
    with FakeLlamaCpp() as server:
        register(server, Endpoint.Kind.LLAMACPP)
        yield server


def said(run: LiveRun) -> str:
    """Return what a run's answer says, delivered or not."""
    return "".join(chunk.content or "" for chunk in run.buffer.chunks)


def packed(server: FakeOpenAI, text: str, completion_tokens: int) -> None:
    """Have a server answer with one piece, and say in the end how many tokens that was."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    closing = {"index": 0, "delta": {}, "finish_reason": "stop"}
    counts = {"choices": [], "usage": usage(prompt_tokens(), completion_tokens)}
    server.script.replayed = [{"choices": [choice]}, {"choices": [closing]}, counts]


async def open_hold_nano() -> int:
    return (await Hold.objects.aget(state=Hold.State.OPEN)).amount_nano


async def test_a_stream_that_cannot_go_on_has_said_exactly_what_was_paid_for(pauper: Caller, tgi: FakeTgi) -> None:
    tgi.script.default_tokens = 1_000
    await grant(pauper, cost_nano(PAID))
    run = start(pauper, stream=True)
    with pytest.raises(InsufficientCredits):
        await finish(run)
    receipt = await run.ended()
    assert said(run) == words(PAID)
    assert (receipt.ending, receipt.error, receipt.ran_out) == ("out_of_credits", "InsufficientCredits", True)
    assert receipt.held_nano == receipt.cost_nano == cost_nano(PAID)
    assert await balance(pauper) == 0
    row = await Run.objects.aget()
    assert (row.ending, row.delivered_tokens, row.held_nano) == ("out_of_credits", PAID, cost_nano(PAID))
    await eventually(lambda: asked(tgi)[0].closed_at or asked(tgi)[0].answered_at)


async def test_a_whole_answer_that_cannot_go_on_is_sent_as_far_as_it_came(pauper: Caller, tgi: FakeTgi) -> None:
    tgi.script.default_tokens = 1_000
    await grant(pauper, cost_nano(PAID))
    run = start(pauper)
    chunks = await read_whole(run)
    receipt = await run.ended()
    assert "".join(chunk.content or "" for chunk in chunks) == words(PAID)
    assert chunks[-1].finish_reason == "length"
    assert (receipt.ending, receipt.ran_out, receipt.cost_nano) == ("out_of_credits", True, cost_nano(PAID))
    assert await balance(pauper) == 0


@pytest.mark.parametrize("counts", [usage(10**9, 1), usage(1, 10**9), usage(-1, 1)])
async def test_a_hold_does_not_grow_by_counts_that_make_no_sense(
    caller: Caller, openai: FakeOpenAI, counts: dict[str, int]
) -> None:
    event = {"choices": [{"index": 0, "delta": {"content": "word"}, "finish_reason": None}], "usage": counts}
    closing = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": counts}
    openai.script.replayed = [event] * 20 + [closing]
    text, receipt = await finish(start(caller, stream=True))
    assert (text, receipt.ending) == ("word" * 20, "stop")
    assert receipt.held_nano == await bound_nano(settings.SLICE_TOKENS)
    assert receipt.cost_nano < cost_nano(100)


@pytest.mark.parametrize("counts", [[0] * 1_000, [1] * 1_000, [*range(1, 21), *range(20, -960, -1)]])
async def test_counts_that_stand_still_or_shrink_pay_for_nothing(
    pauper: Caller, openai: FakeOpenAI, counts: list[int]
) -> None:
    choice = {"index": 0, "delta": {"content": "word"}, "finish_reason": None}
    openai.script.replayed = [
        {"choices": [choice], "usage": usage(prompt_tokens(), max(0, completion_tokens))}
        for completion_tokens in counts
    ]
    await grant(pauper, await bound_nano(PAID))
    run = start(pauper, stream=True)
    with pytest.raises(InsufficientCredits):
        await finish(run)
    receipt = await run.ended()
    # With a token for each piece.
    assert cost_nano(len(run.buffer.chunks)) <= receipt.held_nano == await bound_nano(PAID)


async def test_a_hold_grows_over_many_slices_while_tokens_flow(
    caller: Caller, tgi: FakeTgi, settings: Settings
) -> None:
    settings.SLICE_TOKENS = 50
    tgi.script.default_tokens = 300
    text, receipt = await finish(start(caller, stream=True))
    assert text == words(300)
    assert receipt.ending == "stop"
    assert receipt.cost_nano == cost_nano(301) == DOLLAR - await balance(caller)
    assert await bound_nano(50) < receipt.cost_nano <= receipt.held_nano
    held = await Hold.objects.aget()
    assert (held.amount_nano, held.state) == (receipt.held_nano, "settled")
    # Nobody needs to count while there is enough.
    assert paths(tgi) == ["/v1/chat/completions"]


@pytest.mark.parametrize(("tokens", "held"), [(8, 100), (15, 200), (36, 300)])
async def test_a_hold_grows_when_less_than_half_a_slice_is_left(
    caller: Caller, tgi: FakeTgi, settings: Settings, tokens: int, held: int
) -> None:
    settings.SLICE_TOKENS = 100
    tgi.script.default_tokens, tgi.script.silent_after, tgi.script.between = 100, tokens, 0.005
    assert held - 100 < len(words(tokens)) + 50 < held
    run = start(caller, stream=True)
    await eventually(lambda: len(run.buffer.chunks) == tokens)
    held_nano = await bound_nano(held)

    async def has_grown() -> bool:
        return await open_hold_nano() == held_nano

    await eventually(has_grown)
    hold = await Hold.objects.aget()
    # Its time begins anew when it grows.
    seconds = settings.RUN_SECONDS + settings.HOLD_GRACE_SECONDS
    assert ((hold.expires_at - hold.created_at).total_seconds() > seconds) == (held > 100)
    run.stop()
    assert (await run.ended()).held_nano == held_nano


async def test_tokens_that_outrun_their_hold_are_waited_for(caller: Caller, tgi: FakeTgi, settings: Settings) -> None:
    settings.SLICE_TOKENS, settings.MINIMUM_ANSWER_TOKENS = 8, 2
    tgi.script.default_tokens, tgi.script.tokens_per_write = 200, 100
    text, receipt = await finish(start(caller, stream=True))
    assert text == words(200)
    assert receipt.cost_nano == cost_nano(201)


async def test_a_hold_does_not_grow_beyond_the_limit_that_the_engine_was_told(
    caller: Caller, tgi: FakeTgi, settings: Settings
) -> None:
    settings.HOLD_WHOLE_TOKENS, settings.SLICE_TOKENS = 10, 20
    text, receipt = await finish(start(caller, max_tokens=60, stream=True))
    assert text == words(60)
    assert receipt.ending == "length"
    # Its bytes are many more, but its tokens cannot be.
    assert await bound_nano(20) < receipt.held_nano <= await bound_nano(60)


async def test_running_counts_are_believed_to_the_last_token(pauper: Caller, llamacpp: FakeLlamaCpp) -> None:
    llamacpp.script.answer = (WORDS * 20)[:200]
    await grant(pauper, cost_nano(PAID))
    run = start(pauper, stream=True)
    with pytest.raises(InsufficientCredits):
        await finish(run)
    receipt = await run.ended()
    assert said(run) == words(PAID)
    assert receipt.cost_nano == cost_nano(PAID) - llamacpp.cached_tokens * (INPUT_NANO - CACHED_NANO)
    assert receipt.counting == "engine"
    assert "/tokenize" not in paths(llamacpp)


async def test_without_a_tokenizer_bytes_are_the_bound(pauper: Caller, openai: FakeOpenAI) -> None:
    openai.script.answer = (WORDS * 20)[:200]
    await grant(pauper, await bound_nano(PAID))
    run = start(pauper, stream=True)
    with pytest.raises(InsufficientCredits):
        await finish(run)
    receipt = await run.ended()
    text = said(run)
    assert words(200).startswith(text)
    assert PAID - 8 < len(text) <= PAID
    assert 0 < receipt.cost_nano <= receipt.held_nano == await bound_nano(PAID)


@pytest.mark.parametrize("said_tokens", [1, 500, 2_000_000_000])
async def test_many_tokens_in_one_piece_never_cost_more_than_was_held(
    pauper: Caller, openai: FakeOpenAI, said_tokens: int
) -> None:
    packed(openai, "x" * 500, said_tokens)
    await grant(pauper, await bound_nano(500))
    text, receipt = await finish(start(pauper, stream=True))
    assert text == "x" * 500
    if said_tokens > CONTEXT_TOKENS:
        # No answer is longer than the context: that is no count, and the text is estimated instead.
        assert receipt.counting == "estimate"
        assert receipt.cost_nano < receipt.held_nano
    else:
        assert receipt.cost_nano == min(cost_nano(said_tokens), receipt.held_nano)
    assert await balance(pauper) == await bound_nano(500) - receipt.cost_nano
    assert not await Entry.objects.exclude(lost_nano=0).aexists()


async def test_a_piece_that_cannot_be_paid_is_not_sent_and_not_charged(pauper: Caller, openai: FakeOpenAI) -> None:
    packed(openai, "x" * 500, 5_000)
    await grant(pauper, await bound_nano(499))
    run = start(pauper, stream=True)
    with pytest.raises(InsufficientCredits):
        await begun(run)
    receipt = await run.ended()
    assert (receipt.ending, receipt.cost_nano) == ("out_of_credits", 0)
    assert await balance(pauper) == await bound_nano(499)


async def test_an_engine_that_overruns_its_limit_is_not_the_callers_loss(caller: Caller, openai: FakeOpenAI) -> None:
    packed(openai, "x" * 500, 500)
    _, receipt = await finish(start(caller, max_tokens=5))
    assert receipt.cost_nano == receipt.held_nano == await bound_nano(5)
    openai.script.replayed, openai.script.answer = None, WORDS
    run = start(caller, max_tokens=5)
    with pytest.raises(EngineFailed):
        await finish(run)


async def test_pieces_are_not_tokens(caller: Caller, openai: FakeOpenAI) -> None:
    letters = "The quick brown fox jumps over it."
    packed(openai, "", 9)
    pieces = [{"choices": [{"index": 0, "delta": {"content": each}, "finish_reason": None}]} for each in letters]
    openai.script.replayed = [*pieces, *(openai.script.replayed or [])[1:]]
    text, receipt = await finish(start(caller, max_tokens=20))
    assert (text, receipt.ending) == (letters, "stop")
    assert receipt.usage.completion_tokens <= 9
    # Many enough are too many, however short.
    with pytest.raises(EngineFailed):
        await finish(start(caller, max_tokens=8))


async def test_tokens_without_text_are_paid_for_too(pauper: Caller, tgi: FakeTgi) -> None:
    tgi.script.answer = ["The", *[""] * 500]
    await grant(pauper, cost_nano(PAID))
    run = start(pauper, stream=True)
    with pytest.raises(InsufficientCredits):
        await finish(run)
    receipt = await run.ended()
    assert len(run.buffer.chunks) == PAID
    # Nobody was sent them.
    assert receipt.cost_nano == cost_nano(1)


async def test_parts_of_a_character_are_counted_once(pauper: Caller, tgi: FakeTgi) -> None:
    # As TGI sends them: nothing until the character is whole.
    tgi.script.answer = ["", "", "\N{GRINNING FACE}"] * 60
    await grant(pauper, cost_nano(PAID))
    run = start(pauper, stream=True)
    with pytest.raises(InsufficientCredits):
        await finish(run)
    await run.ended()
    # The tokenizer makes one token of each; and the parts of the next are not yet known to be only one.
    assert said(run) == "\N{GRINNING FACE}" * (PAID - 1)


async def test_an_answer_that_waits_for_other_holds_goes_on_when_they_end(
    pauper: Caller, tgi: FakeTgi, settings: Settings
) -> None:
    settings.SLICE_WAIT_SECONDS = 30
    tgi.script.default_tokens = 60
    await grant(pauper, cost_nano(100))
    other = await ledger.hold(
        pauper.team_id, 60 * OUTPUT_NANO, run="other", project=str(pauper.project_id), key="", seconds=60
    )
    run = start(pauper, stream=True)
    reading = asyncio.create_task(finish(run))
    await eventually(lambda: len(run.buffer.chunks) == PAID)
    assert not run.buffer.is_finished
    await ledger.release(other.id)
    text, receipt = await reading
    assert (text, receipt.ending) == (words(60), "stop")
    assert await balance(pauper) == cost_nano(100) - cost_nano(61)


async def test_an_answer_does_not_wait_for_other_holds_without_end(
    pauper: Caller, tgi: FakeTgi, settings: Settings
) -> None:
    settings.SLICE_WAIT_SECONDS = 0.2
    tgi.script.default_tokens = 60
    await grant(pauper, cost_nano(100))
    await ledger.hold(pauper.team_id, 60 * OUTPUT_NANO, run="other", project=str(pauper.project_id), key="", seconds=60)
    run = start(pauper, stream=True)
    with pytest.raises(InsufficientCredits):
        await finish(run)
    assert (await run.ended()).cost_nano == cost_nano(PAID)


async def test_runs_that_race_for_the_last_credits_spend_no_more_than_there_is(
    pauper: Caller, tgi: FakeTgi, settings: Settings
) -> None:
    settings.SLICE_TOKENS, settings.SLICE_WAIT_SECONDS = 40, 0.2
    tgi.script.default_tokens, tgi.script.between = 1_000, 0.001
    there_is = 3 * cost_nano(40) + 25 * OUTPUT_NANO
    await grant(pauper, there_is)
    runs = [start(pauper, stream=True) for _ in range(3)]
    ends = await asyncio.gather(*map(finish, runs), return_exceptions=True)
    assert [type(end) for end in ends] == [InsufficientCredits] * 3
    receipts = [await run.ended() for run in runs]
    assert {receipt.ending for receipt in receipts} == {"out_of_credits"}
    for run, receipt in zip(runs, receipts, strict=True):
        text = said(run)
        assert text == words(receipt.usage.completion_tokens)
        # Whoever came too late got nothing, and not the beginning of something.
        assert not text or receipt.usage.completion_tokens >= settings.MINIMUM_ANSWER_TOKENS
    assert await balance(pauper) == there_is - sum(receipt.cost_nano for receipt in receipts) >= 0
    assert not await Hold.objects.filter(state="open").aexists()


async def test_a_budget_that_ends_an_answer_is_named(caller: Caller, tgi: FakeTgi) -> None:
    tgi.script.default_tokens = 1_000
    await limit_project(caller, cost_nano(PAID))
    run = start(caller, stream=True)
    with pytest.raises(InsufficientCredits, match="budget of the project") as raised:
        await finish(run)
    assert "budget of the project" in raised.value.message
    receipt = await run.ended()
    assert receipt.cost_nano == cost_nano(PAID)
    assert (await Run.objects.aget()).limited_by == receipt.limited_by == "the total budget of the project"


async def test_a_whole_answer_that_a_budget_ends_has_it_on_its_receipt(caller: Caller, tgi: FakeTgi) -> None:
    tgi.script.default_tokens = 1_000
    await limit_project(caller, cost_nano(PAID))
    text, receipt = await finish(start(caller))
    assert text == words(PAID)
    assert (receipt.ending, receipt.limited_by) == ("out_of_credits", "the total budget of the project")


CANCELLED_AT: list[dict[str, Any]] = [{"max_tokens": 100}, {}]


@pytest.mark.parametrize("fields", CANCELLED_AT, ids=["held whole", "by slices"])
@pytest.mark.parametrize("count", [0, 1, 10, 50, 100])
async def test_a_cancelled_stream_is_charged_to_the_token_that_was_sent(
    caller: Caller, tgi: FakeTgi, settings: Settings, count: int, fields: dict[str, Any]
) -> None:
    settings.SLICE_TOKENS = 50
    tgi.script.default_tokens = 100
    tgi.script.silent_after = count
    run = start(caller, stream=True, **fields)
    async with Listener(run) as listener:
        if count == 0:
            await eventually(lambda: asked(tgi))
        else:
            async for batch in listener:
                if batch.first + len(batch.chunks) > count:
                    break
            # Asking for the next piece would say that this one was sent.
            run.buffer.deliver(count)
    receipt = await run.ended()
    assert (receipt.ending, receipt.cost_nano) == ("disconnected", cost_nano(count))
    assert await balance(caller) == DOLLAR - cost_nano(count)
    assert not await Hold.objects.filter(state="open").aexists()


@pytest.mark.parametrize("fields", CANCELLED_AT, ids=["held whole", "by slices"])
@pytest.mark.parametrize("count", [0, 1, 10, 50, 100])
async def test_a_whole_answer_that_is_cancelled_before_its_end_costs_nothing(
    caller: Caller, tgi: FakeTgi, settings: Settings, count: int, fields: dict[str, Any]
) -> None:
    settings.SLICE_TOKENS = 50
    tgi.script.default_tokens = 100
    tgi.script.silent_after = count
    run = start(caller, **fields)
    async with Listener(run):
        await eventually(lambda: asked(tgi) and len(run.buffer.chunks) == count)
    receipt = await run.ended()
    assert (receipt.ending, receipt.cost_nano) == ("disconnected", 0)
    assert await balance(caller) == DOLLAR


async def test_a_process_that_ends_while_a_hold_grows_settles_it(
    caller: Caller, tgi: FakeTgi, settings: Settings
) -> None:
    settings.SLICE_TOKENS = 8
    tgi.script.endless = True
    run = start(caller, stream=True)
    async with Listener(run) as listener:
        async for batch in listener:
            if batch.first > 20:
                run.stop()
    receipt = await run.ended()
    held = await sync_to_async(Hold.objects.get)()
    assert (held.state, held.amount_nano) == ("settled", receipt.held_nano)
    assert receipt.cost_nano == DOLLAR - await balance(caller) <= receipt.held_nano


@pytest.mark.parametrize("limit", [None, 40])
async def test_a_hold_outlives_its_slowest_reader(
    caller: Caller, tgi: FakeTgi, settings: Settings, limit: int | None
) -> None:
    settings.RUN_SECONDS, settings.HOLD_GRACE_SECONDS = 3, 2
    tgi.script.default_tokens, tgi.script.silent_after, tgi.script.let_go = 40, 10, threading.Event()
    run = start(caller, stream=True, max_tokens=limit)
    async with Listener(run) as listener:
        batches = aiter(listener)
        await anext(batches)
        tgi.script.let_go.set()
        await eventually(lambda: run.buffer.is_finished)
        hold = await Hold.objects.aget()
        # Longer than the hold was to live when it was taken.
        await asyncio.sleep(settings.RUN_SECONDS + settings.HOLD_GRACE_SECONDS)
        assert (await Hold.objects.aget()).expires_at > max(timezone.now(), hold.expires_at)
        assert [batch async for batch in batches]
    receipt = await run.ended()
    delivered = receipt.usage.completion_tokens
    assert delivered >= 40
    charge = await Entry.objects.aget(kind=Entry.Kind.CHARGE)
    assert (-charge.amount_nano, charge.lost_nano) == (cost_nano(delivered), 0)
