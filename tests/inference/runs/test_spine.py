"""The spine by itself: runs, those who follow them, and what is left when they end."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from logging import ERROR

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.caller import Caller
from accounts.models import Membership, Team
from credits import ledger
from credits.models import Account, Entry, Hold
from inference.errors import (
    EngineFailed,
    EngineTimeout,
    EngineUnavailable,
    InferenceDisabled,
    ModelNotFound,
    UnsupportedParameter,
)
from inference.models import Endpoint, Model, Run
from inference.runs import spine
from inference.runs.spine import LiveRun
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.tgi import FakeTgi
from tests.inference.listening import Listener, begun
from tests.inference.scenes import DOLLAR, asked, chat, cost_nano, register
from tests.patience import eventually
from tests.runtimes import runtime

pytestmark = pytest.mark.django_db(transaction=True)


def start(caller: Caller, *, resumable: bool = False, **fields: object) -> LiveRun:
    return spine.start(runtime(), caller, chat(**fields), resumable=resumable)


async def read_some(run: LiveRun, count: int, after: int = 0) -> list[tuple[int, str | None]]:
    """Follow a run from behind a chunk, for so many numbered chunks, and leave."""
    heard: list[tuple[int, str | None]] = []
    async with Listener(run, after) as listener:
        async for batch in listener:
            heard += [(batch.first + place, chunk.content) for place, chunk in enumerate(batch.chunks)]
            if len(heard) >= count:
                break
    return heard


async def read_all(run: LiveRun, after: int = 0) -> list[tuple[int, str | None]]:
    return await read_some(run, 10**9, after)


def balance() -> int:
    return Account.objects.get(team__slug="acme").balance_nano


async def spent() -> int:
    """What was charged; a hold that its taker did not wait for is given back a moment later."""

    async def nothing_is_held() -> bool:
        return not await Hold.objects.filter(state=Hold.State.OPEN).aexists()

    await eventually(nothing_is_held)
    return DOLLAR - await sync_to_async(balance)()


async def test_a_run_is_read_to_its_end_and_settled(caller: Caller, tgi: FakeTgi) -> None:
    run = start(caller, max_tokens=4)
    heard = await read_all(run)
    receipt = await run.ended()
    assert "".join(text or "" for _, text in heard) == "The quick brown fox"
    assert (receipt.ending, receipt.usage.completion_tokens, receipt.cost_nano) == ("length", 4, cost_nano(4))
    assert receipt.first_token_seconds is not None
    assert await spent() == cost_nano(4)
    row = await Run.objects.aget()
    assert (row.id, row.key, row.user_id) == (run.id, "", caller.user_id)


async def test_a_resumed_reader_hears_everything_once(caller: Caller, tgi: FakeTgi) -> None:
    tgi.script.between = 0.02
    run = start(caller, resumable=True, max_tokens=30)
    heard: list[tuple[int, str | None]] = []
    while not run.buffer.is_finished:
        heard += await read_some(run, 4, after=len(heard))
    heard += await read_all(run, after=len(heard))
    await run.ended()
    assert [number for number, _ in heard] == list(range(1, len(run.buffer.chunks) + 1))
    assert "".join(text or "" for _, text in heard) == ("The quick brown fox jumps over the lazy dog." * 3)
    assert await spent() == cost_nano(30)


async def test_two_readers_of_one_run_hear_the_same_and_pay_once(caller: Caller, tgi: FakeTgi) -> None:
    tgi.script.between = 0.01
    run = start(caller, resumable=True, max_tokens=10)
    first, second = await asyncio.gather(read_all(run), read_all(run))
    assert first == second
    await run.ended()
    assert await spent() == cost_nano(10)


async def test_a_resumable_run_outlives_its_reader_by_the_grace_and_pays_for_what_it_kept(
    caller: Caller, tgi: FakeTgi, settings: Settings
) -> None:
    settings.RECONNECT_GRACE_SECONDS = 0.3
    tgi.script.between = 0.1
    run = start(caller, resumable=True, max_tokens=1_000)
    await read_some(run, 1)
    # Whoever comes back stops the clock.
    async with Listener(run, 1):
        await asyncio.sleep(0.5)
        assert not run.buffer.is_finished
        left = time.monotonic()
    await eventually(lambda: asked(tgi)[0].closed_at, 1.3)
    assert (asked(tgi)[0].closed_at or 0) - left > 0.29
    receipt = await run.ended()
    assert receipt.ending == "disconnected"
    # Kept for replay is delivered: more than anybody read.
    assert receipt.usage.completion_tokens == len(run.buffer.chunks) > 2
    assert await spent() == cost_nano(len(run.buffer.chunks))


async def test_a_resumable_run_that_nobody_ever_reads_ends_by_itself(
    caller: Caller, tgi: FakeTgi, settings: Settings
) -> None:
    settings.RECONNECT_GRACE_SECONDS = 0
    tgi.script.silent_after = 0
    run = start(caller, resumable=True)
    assert (await run.ended()).ending == "disconnected"
    assert await spent() == 0


async def test_the_last_of_several_readers_ends_a_plain_run(caller: Caller, tgi: FakeTgi) -> None:
    tgi.script.silent_after = 2
    run = start(caller)
    first, second = asyncio.ensure_future(read_all(run)), asyncio.ensure_future(read_all(run))
    await eventually(lambda: run.buffer.delivered == 2)
    first.cancel()
    await asyncio.sleep(0.05)
    assert not run.is_ended
    second.cancel()
    assert (await run.ended()).ending == "disconnected"
    assert await spent() == cost_nano(2)


@pytest.mark.parametrize("turns", range(6))
async def test_a_run_can_be_stopped_at_any_moment(caller: Caller, tgi: FakeTgi, turns: int) -> None:
    tgi.script.silent_after = 1
    run = start(caller, resumable=True)
    for _ in range(turns):
        await asyncio.sleep(0)
    run.stop()
    assert (await run.ended()).ending == "stopped"
    assert await spent() == 0
    assert await Run.objects.acount() <= 1


async def test_a_stopped_run_keeps_what_was_said(caller: Caller, tgi: FakeTgi) -> None:
    tgi.script.silent_after = 3
    run = start(caller, resumable=True)
    async with Listener(run) as listener:
        async for batch in listener:
            if batch.first + len(batch.chunks) > 3:
                run.stop()
                run.stop(Run.Ending.REVOKED)
    assert (await run.ended()).ending == "stopped"
    assert run.buffer.error is None
    assert await spent() == cost_nano(3)


async def test_stopping_an_ended_run_changes_nothing(caller: Caller, tgi: FakeTgi) -> None:
    run = start(caller, max_tokens=2)
    await read_all(run)
    run.stop()
    assert (await run.ended()).ending == "length"
    run.stop()
    run.check_access()
    await asyncio.sleep(0.05)
    assert await spent() == cost_nano(2)


async def test_a_reader_that_is_too_slow_is_noted(caller: Caller, tgi: FakeTgi) -> None:
    tgi.script.silent_after = 2
    run = start(caller)

    listener = Listener(run)
    await eventually(lambda: len(run.buffer.chunks) == 2)
    listener.subscription.leave(is_slow=True)
    receipt = await run.ended()
    # What was on its way to the reader that took nothing is not charged.
    assert (receipt.ending, receipt.cost_nano) == ("slow_reader", 0)
    assert await spent() == 0


async def test_a_reader_that_is_cut_by_the_last_chunk_is_settled_as_any_other(
    caller: Caller, tgi: FakeTgi, settings: Settings
) -> None:
    settings.READER_BYTES = 100
    tgi.script.tokens_per_write = 1_000
    run = start(caller, max_tokens=20)
    async with Listener(run):
        await eventually(lambda: run.buffer.is_finished)
        assert run.buffer.subscriptions[0].lag_bytes > 100
    await run.ended()
    assert await spent() == 0


async def test_a_reader_is_not_too_slow_while_the_model_says_nothing(caller: Caller) -> None:
    silent = {"choices": [{"index": 0, "delta": {}, "finish_reason": None}]}
    word = {"choices": [{"index": 0, "delta": {"content": "word"}, "finish_reason": "stop"}]}
    with FakeOpenAI() as server:
        await sync_to_async(register)(server, Endpoint.Kind.OPENAI)
        server.script.replayed = [silent] * 8_000 + [word]
        server.script.tokens_per_write, server.script.between = 100, 0.005
        run = start(caller, stream=True)
        async with Listener(run) as listener:
            await begun(run)
            said = [chunk.content async for batch in listener for chunk in batch.chunks if chunk.content]
        assert said == ["word"]
        assert (await run.ended()).ending == "stop"


def cancel_what_waits() -> None:
    """Cancel the tasks of runs, as asyncio.run does when a process ends."""
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__qualname__", "") == "_Run._finish":
            task.cancel()


async def test_a_process_that_ends_charges_what_was_delivered(caller: Caller, tgi: FakeTgi) -> None:
    tgi.script.silent_after = 8
    run = start(caller, resumable=True)
    await read_some(run, 8)

    await runtime().__aexit__()
    receipt = await run.ended()
    assert receipt.ending == "shutdown"
    assert isinstance(run.buffer.error, EngineUnavailable)
    assert await spent() == cost_nano(8)


async def test_shutting_down_ends_every_run_and_waits_for_its_charge(caller: Caller, tgi: FakeTgi) -> None:
    tgi.script.silent_after = 2
    runs = [start(caller, resumable=True) for _ in range(3)]
    for run in runs:
        await read_some(run, 2)
    runs.append(start(caller))
    await runtime().runs.shut_down()
    assert all(run.is_ended for run in runs)
    assert [run.receipt.ending for run in runs] == ["shutdown"] * 4
    assert await spent() == 3 * cost_nano(2)
    await runtime().runs.shut_down()


async def test_a_process_that_ends_while_the_charge_is_counted_still_charges(caller: Caller, tgi: FakeTgi) -> None:
    tgi.script.silent_after = 8
    run = start(caller, resumable=True)
    await read_some(run, 8)
    run.stop()
    while not run.buffer.is_finished:  # noqa: ASYNC110 - the very next turn counts
        await asyncio.sleep(0)
    # Now its tokenizer is asked.
    cancel_what_waits()
    receipt = await run.ended()
    assert receipt.counting == "estimate"
    assert receipt.cost_nano == await spent() > 0


async def test_a_row_that_the_database_refuses_does_not_lose_the_charge(
    caller: Caller, tgi: FakeTgi, caplog: pytest.LogCaptureFixture
) -> None:
    tgi.script.silent_after = 3
    run = start(caller, resumable=True)
    await read_some(run, 3)
    # There is no such project.
    run.receipt.caller = replace(caller, project_id=10**9)
    run.stop()
    await run.ended()
    assert not await Run.objects.aexists()
    assert await Entry.objects.filter(kind="charge", run=run.id).aexists()
    assert await spent() == cost_nano(3)
    assert f"the row of run {run.id} was refused" in caplog.text


async def test_a_charge_that_the_database_refuses_is_an_error_in_the_log(
    caller: Caller, tgi: FakeTgi, caplog: pytest.LogCaptureFixture
) -> None:
    tgi.script.silent_after = 3
    run = start(caller, resumable=True)
    await read_some(run, 3)
    # A run is charged once, and this one's name is taken.
    other = await ledger.hold(caller.team_id, 1, run=run.id, project="1", key="", seconds=60)
    await ledger.settle(other.id, 1, price="1")
    run.stop()
    await run.ended()
    assert await sync_to_async(balance)() == DOLLAR - 1
    assert f"run {run.id} could not be settled" in [
        record.message for record in caplog.records if record.levelno == ERROR
    ]


async def test_losing_access_ends_the_run_with_the_reason(caller: Caller, tgi: FakeTgi) -> None:
    tgi.script.silent_after = 2
    runtime().runs.watch_access()
    changes: list[Callable[[], object]] = [
        lambda: Team.objects.filter(slug="acme").update(is_enabled=False),
        lambda: Membership.objects.filter(user_id=caller.user_id).update(role=Membership.Role.VIEWER),
    ]
    for count, change in enumerate(changes, start=1):
        run = start(caller, resumable=True)
        await read_some(run, 2)
        await sync_to_async(change)()
        await eventually(lambda: asked(tgi)[-1].closed_at, 1)
        receipt = await run.ended()
        assert receipt.ending == "revoked"
        assert await spent() == count * cost_nano(2)
        assert isinstance(run.buffer.error, InferenceDisabled) == (count == 1)
        await Team.objects.aupdate(is_enabled=True)


async def test_what_keeps_a_run_from_beginning_is_raised_where_it_is_awaited(caller: Caller, tgi: FakeTgi) -> None:
    await Model.objects.acreate(id="no/price", name="x", context_tokens=10)
    for fields, error in (
        ({"model": "no/such"}, ModelNotFound),
        ({"model": "no/price"}, ModelNotFound),
        ({"n": 2}, UnsupportedParameter),
    ):
        run = start(caller, **fields)
        with pytest.raises(error):
            await begun(run)
        with pytest.raises(error):
            await read_all(run)
        await run.ended()
    assert not await Run.objects.aexists()
    assert not await Hold.objects.aexists()


async def test_what_only_an_endpoint_that_is_full_can_do_is_asked_of_no_other(caller: Caller, tgi: FakeTgi) -> None:
    with FakeOpenAI() as other:
        other.script.response = (503, "application/json", b'{"error": {"message": "full"}}')
        await sync_to_async(register)(other, Endpoint.Kind.OPENAI)
        # Conversations begin at either endpoint, and none of them ends at the one that is full.
        for number in range(8):
            question = [{"role": "user", "content": str(number)}]
            with pytest.raises(EngineUnavailable):
                await begun(start(caller, messages=question, top_k=5))
            answered = start(caller, messages=question, max_tokens=4)
            assert "".join(text or "" for _, text in await read_all(answered)) == "The quick brown fox"
            assert (await answered.ended()).counting == "engine"
        assert len(asked(tgi)) == 8


async def test_a_run_that_lasts_too_long_is_ended(caller: Caller, tgi: FakeTgi, settings: Settings) -> None:
    settings.RUN_SECONDS = 0.3
    tgi.script.between = 0.05
    run = start(caller, max_tokens=1_000)
    with pytest.raises(EngineTimeout):
        await read_all(run)
    receipt = await run.ended()
    assert receipt.ending == "timeout"
    assert receipt.usage.completion_tokens < 1_000
    assert await spent() == receipt.cost_nano == cost_nano(receipt.usage.completion_tokens)


async def test_silence_between_two_tokens_is_bounded(caller: Caller, tgi: FakeTgi, settings: Settings) -> None:
    settings.BETWEEN_TOKENS_SECONDS = 0.2
    tgi.script.silent_after = tgi.script.tokens_per_write = 3
    run = start(caller)
    with pytest.raises(EngineTimeout):
        await read_all(run)
    await run.ended()
    assert await spent() == cost_nano(3)


async def test_a_broken_stream_is_charged_to_the_last_token(caller: Caller, tgi: FakeTgi) -> None:
    tgi.script.break_after = 5
    run = start(caller)
    with pytest.raises(EngineFailed):
        await read_all(run)
    await run.ended()
    assert await spent() == cost_nano(5)


async def test_the_clock_of_a_receipt_goes_forward(caller: Caller, tgi: FakeTgi) -> None:
    before = timezone.now()
    run = start(caller, max_tokens=3)
    await read_all(run)
    receipt = await run.ended()
    assert receipt.first_token_at
    assert receipt.ended_at
    assert before <= receipt.started_at <= receipt.first_token_at <= receipt.ended_at <= timezone.now()
    assert receipt.tokens_per_second is None or receipt.tokens_per_second > 0
