"""Claims by themselves: who answers for an Idempotency-Key, and what happens to those who wait."""

import asyncio
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.caller import Caller
from credits.models import Entry, Hold
from inference.errors import ConcurrencyLimited, EngineTimeout, EngineUnavailable, IdempotencyKeyReused
from inference.models import IdempotencyKey, Run
from inference.runs import run as runs
from inference.runs import spine
from inference.runs.buffer import BATCH_CHUNKS
from inference.runs.idempotency import ReplayedRun, once
from inference.runs.idempotency_keys import CLEARED_AT_ONCE, Claim
from inference.runs.spine import LiveRun
from tests.fakes.tgi import FakeTgi
from tests.inference.listening import Listener, read_whole
from tests.inference.scenes import asked, chat, cost_nano
from tests.patience import eventually
from tests.runtimes import runtime

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]

RUN = "0123456789abcdef" * 2


def claim_of(caller: Caller, number: int, *, key: str = "key", **fields: Any) -> Claim:
    """Return the claim of one request of several; each has a run id of its own."""
    return Claim.of(caller, key, "/v1/chat/completions", chat(**fields), f"{number:032x}")


async def ask(caller: Caller, number: int, *, stream: bool = True, **fields: Any) -> runs.Run:
    """Ask as the API does."""
    return await once(
        runtime(),
        claim_of(caller, number, stream=stream, **fields),
        lambda claim: spine.start(runtime(), caller, chat(stream=stream, **fields), run_id=claim.run, claim=claim),
    )


async def text_of(run: runs.Run) -> str:
    """Read an answer from its beginning to its end."""
    async with Listener(run) as listener:
        batches = [batch.chunks async for batch in listener]
    if isinstance(run, LiveRun):
        await run.ended()
    return "".join(chunk.content or "" for chunks in batches for chunk in chunks)


async def whole_of(run: runs.Run) -> int:
    """Read an answer that is not streamed, and return how many chunks it has."""
    return len(await read_whole(run))


async def other_process(claim: Claim, *, seconds: float = 60) -> None:
    """Write what another process writes that begins a run for the claim's key."""
    await IdempotencyKey.objects.acreate(
        id=claim.id, request=claim.request, run=RUN, expires_at=timezone.now() + timedelta(seconds=seconds)
    )


def test_of_many_who_take_a_key_in_the_same_moment_one_gets_it(caller: Caller) -> None:
    claims = [claim_of(caller, number) for number in range(8)]
    together = threading.Barrier(len(claims))
    holders: list[str] = []

    def take(claim: Claim) -> None:
        together.wait(10)
        holders.append(claim.take().run)
        connection.close()

    threads = [threading.Thread(target=take, args=(claim,)) for claim in claims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(holders) == len(claims)
    assert set(holders) == {IdempotencyKey.objects.get().run}


def test_of_many_who_take_over_a_claim_that_ran_out_one_gets_it(caller: Caller) -> None:
    claim_of(caller, 99).take()
    IdempotencyKey.objects.update(expires_at=timezone.now())
    test_of_many_who_take_a_key_in_the_same_moment_one_gets_it(caller)


def test_a_key_belongs_to_who_sent_it(caller: Caller) -> None:
    others = [
        replace(caller, project_id=caller.project_id + 1),
        replace(caller, user_id=caller.user_id + 1),
        replace(caller, key_id="another"),
    ]
    claims = [claim_of(each, 1) for each in (caller, *others)] + [claim_of(caller, 1, key="keys")]
    assert len({claim.id for claim in claims}) == len(claims)


def test_requests_are_the_same_if_they_mean_the_same(caller: Caller) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "title": "W"}}}
    turned = {"function": {"parameters": {"title": "W", "type": "object"}, "name": "weather"}, "type": "function"}
    assert claim_of(caller, 1, tools=[tool], seed=None) == claim_of(caller, 1, tools=[turned])
    others: list[dict[str, Any]] = [{"seed": 1}, {"stream": True}, {"tools": [tool]}, {"max_tokens": 5}]
    claims = [claim_of(caller, 1, **fields) for fields in ({}, *others)]
    # What was asked for is not part of the name, but of what is compared.
    assert len({claim.id for claim in claims}) == 1
    assert len({claim.request for claim in claims}) == len(claims)


def test_whoever_claims_clears_away_a_few_that_are_over(caller: Caller) -> None:
    for number in range(CLEARED_AT_ONCE + 5):
        claim_of(caller, number, key=f"old {number}").take()
    IdempotencyKey.objects.update(expires_at=timezone.now())
    claim_of(caller, 100).take()
    assert IdempotencyKey.objects.count() == 5 + 1
    claim_of(caller, 101, key="next").take()
    assert IdempotencyKey.objects.count() == 2


async def test_those_who_ask_together_follow_one_run(caller: Caller, tgi: FakeTgi) -> None:
    runs = await asyncio.gather(*(ask(caller, number) for number in range(10)))
    assert len({id(run) for run in runs}) == 1
    assert set(await asyncio.gather(*map(text_of, runs))) == {"The quick brown fox jumps over the lazy dog."}
    assert len(asked(tgi)) == 1
    replay = await ask(caller, 11)
    assert isinstance(replay, ReplayedRun)
    assert (replay.id, replay.receipt.created) == (runs[0].id, runs[0].receipt.created)
    assert await text_of(replay) == "The quick brown fox jumps over the lazy dog."


async def test_the_answer_is_kept_with_the_charge_or_not_at_all(caller: Caller, tgi: FakeTgi) -> None:
    tgi.script.silent_after, tgi.script.let_go = 0, threading.Event()
    run = await ask(caller, 1)
    assert isinstance(run, LiveRun)
    row = await IdempotencyKey.objects.aget()
    assert row.answer is None
    tgi.script.let_go.set()
    await text_of(run)
    row = await IdempotencyKey.objects.aget()
    assert row.answer is not None
    assert row.expires_at > timezone.now() + timedelta(hours=23)
    assert (await Entry.objects.aget(kind=Entry.Kind.CHARGE)).run == row.run == (await Run.objects.aget()).id


async def test_whoever_leaves_first_leaves_the_run_to_the_others(caller: Caller, tgi: FakeTgi) -> None:
    asking = [asyncio.create_task(ask(caller, number)) for number in range(3)]
    await asyncio.sleep(0)
    asking[0].cancel()
    run = await asking[1]
    assert await asking[2] is run
    assert await text_of(run) == "The quick brown fox jumps over the lazy dog."


@pytest.mark.parametrize("stream", [True, False])
async def test_a_first_client_is_in_time_though_none_has_time_to_come_back(
    caller: Caller, tgi: FakeTgi, settings: Settings, stream: bool
) -> None:
    settings.RECONNECT_GRACE_SECONDS = 0
    run = await ask(caller, 1, stream=stream)
    assert await text_of(run) == "The quick brown fox jumps over the lazy dog."
    assert isinstance(run, LiveRun)
    assert (await run.ended()).usage.completion_tokens > 0


async def test_a_run_whose_only_client_left_before_it_began_ends_by_itself(
    caller: Caller, tgi: FakeTgi, settings: Settings
) -> None:
    settings.RECONNECT_GRACE_SECONDS = 0.1
    tgi.script.silent_after = 0
    begun: list[LiveRun] = []

    def begin(claim: Claim) -> LiveRun:
        begun.append(spine.start(runtime(), caller, chat(stream=True), run_id=claim.run, claim=claim))
        return begun[0]

    asking = asyncio.create_task(once(runtime(), claim_of(caller, 1, stream=True), begin))
    await asyncio.sleep(0)
    asking.cancel()
    await eventually(lambda: begun)
    # With the engine asked or not yet: where commits take long, the grace is over before.
    assert (await begun[0].ended()).ending == "disconnected"
    assert not await IdempotencyKey.objects.aexists()
    assert not await Hold.objects.filter(state=Hold.State.OPEN).aexists()
    assert not await Entry.objects.filter(kind=Entry.Kind.CHARGE).aexists()


async def test_who_waits_for_another_process_gets_its_answer(caller: Caller, tgi: FakeTgi) -> None:
    first = await ask(caller, 1)
    await text_of(first)
    kept = await IdempotencyKey.objects.aget()
    await IdempotencyKey.objects.aupdate(answer=None)
    waiting = [asyncio.create_task(ask(caller, number)) for number in range(2, 5)]
    await asyncio.sleep(0.7)
    assert not any(task.done() for task in waiting)
    await IdempotencyKey.objects.aupdate(answer=kept.answer)
    runs = await asyncio.gather(*waiting)
    assert [run.id for run in runs] == [first.id] * 3
    assert len(asked(tgi)) == 1


async def test_who_waits_for_another_process_begins_when_that_gives_up(caller: Caller, tgi: FakeTgi) -> None:
    await other_process(claim_of(caller, 0, stream=True))
    waiting = [asyncio.create_task(ask(caller, number)) for number in range(1, 4)]
    await asyncio.sleep(0.1)
    await IdempotencyKey.objects.all().adelete()
    runs = await asyncio.gather(*waiting)
    assert len({id(run) for run in runs}) == 1
    assert await text_of(runs[0]) == "The quick brown fox jumps over the lazy dog."


async def test_a_claim_of_a_killed_process_runs_out(caller: Caller, tgi: FakeTgi) -> None:
    await other_process(claim_of(caller, 0, stream=True), seconds=0.3)
    assert await text_of(await ask(caller, 1)) == "The quick brown fox jumps over the lazy dog."
    assert (await IdempotencyKey.objects.aget()).run != RUN


async def test_who_waits_does_not_wait_for_ever(caller: Caller, tgi: FakeTgi, settings: Settings) -> None:
    settings.RUN_SECONDS = settings.IDEMPOTENCY_LEASE_SECONDS = 0.2
    await other_process(claim_of(caller, 0, stream=True))
    with pytest.raises(EngineTimeout):
        await ask(caller, 1)


async def test_another_request_is_refused_whoever_has_the_key(caller: Caller, tgi: FakeTgi) -> None:
    await other_process(claim_of(caller, 0, stream=True))
    with pytest.raises(IdempotencyKeyReused):
        await ask(caller, 1, seed=1)
    await IdempotencyKey.objects.all().adelete()
    run = await ask(caller, 2)
    with pytest.raises(IdempotencyKeyReused):
        await ask(caller, 3, seed=1)
    await text_of(run)
    with pytest.raises(IdempotencyKeyReused):
        await ask(caller, 4, seed=1)


async def test_a_run_that_lives_keeps_its_claim(caller: Caller, tgi: FakeTgi, settings: Settings) -> None:
    settings.IDEMPOTENCY_LEASE_SECONDS = 0.6
    tgi.script.silent_after, tgi.script.let_go = 0, threading.Event()
    run = await ask(caller, 1)
    began: datetime = (await IdempotencyKey.objects.aget()).expires_at
    await eventually(IdempotencyKey.objects.filter(answer=None, expires_at__gt=began).aexists)
    tgi.script.let_go.set()
    assert await text_of(run) == "The quick brown fox jumps over the lazy dog."
    assert isinstance(await ask(caller, 2), ReplayedRun)


async def test_a_run_that_lost_its_claim_does_not_touch_its_successors(caller: Caller, tgi: FakeTgi) -> None:
    tgi.script.silent_after, tgi.script.let_go = 3, threading.Event()
    run = await ask(caller, 1)
    await IdempotencyKey.objects.aupdate(run=RUN)
    tgi.script.let_go.set()
    await text_of(run)
    row = await IdempotencyKey.objects.aget()
    assert (row.run, row.answer) == (RUN, None)
    assert (await Entry.objects.aget(kind=Entry.Kind.CHARGE)).amount_nano == -cost_nano(11)


async def test_a_shut_down_gives_up_what_was_not_begun_and_keeps_what_was(caller: Caller, tgi: FakeTgi) -> None:
    tgi.script.silent_after = 3
    streamed = await ask(caller, 1)
    assert isinstance(streamed, LiveRun)
    async with Listener(streamed):
        await eventually(lambda: len(streamed.buffer.chunks) == 3)
        await runtime().runs.shut_down()
    assert isinstance(await ask(caller, 2), ReplayedRun)
    await IdempotencyKey.objects.all().adelete()
    whole = await ask(caller, 3, stream=False)
    assert isinstance(whole, LiveRun)
    reading = asyncio.create_task(whole_of(whole))
    await eventually(lambda: len(whole.buffer.chunks) == 3)
    await runtime().runs.shut_down()
    with pytest.raises(EngineUnavailable):
        await reading
    assert not await IdempotencyKey.objects.aexists()


async def test_a_run_has_no_more_followers_than_a_project_has_places(
    caller: Caller, tgi: FakeTgi, settings: Settings
) -> None:
    settings.PROJECT_CONCURRENCY = 1
    tgi.script.silent_after, tgi.script.let_go = 3, threading.Event()
    run = await ask(caller, 1)
    async with Listener(run):
        with pytest.raises(ConcurrencyLimited):
            await ask(caller, 2)
        tgi.script.let_go.set()
    assert await text_of(await ask(caller, 3)) == "The quick brown fox jumps over the lazy dog."


async def test_those_who_follow_a_run_take_one_place_of_the_project(
    caller: Caller, tgi: FakeTgi, settings: Settings
) -> None:
    settings.PROJECT_CONCURRENCY = 2
    tgi.script.between = 0.02
    runs = await asyncio.gather(*(ask(caller, number) for number in range(2)))
    other = spine.start(runtime(), caller, chat())
    assert len(await asyncio.gather(*map(text_of, [*runs, other]))) == 3


async def test_an_answer_that_is_had_again_takes_a_slot_too(caller: Caller, tgi: FakeTgi, settings: Settings) -> None:
    settings.PROJECT_CONCURRENCY = 1
    await text_of(await ask(caller, 1))
    first, second = await ask(caller, 2), await ask(caller, 3)
    async with Listener(first) as listener:
        listener.subscription.resume()
        with pytest.raises(ConcurrencyLimited):
            await text_of(second)
    assert await text_of(second) == "The quick brown fox jumps over the lazy dog."


async def test_a_long_answer_is_had_again_in_pieces(caller: Caller, tgi: FakeTgi) -> None:
    tgi.script.answer = ["word "] * (2 * BATCH_CHUNKS)
    tgi.script.tokens_per_write = 100
    run = await ask(caller, 1)
    assert len((await text_of(run)).split()) == 2 * BATCH_CHUNKS
    for again in (run, await ask(caller, 2)):
        async with Listener(again) as listener:
            sizes = [len(batch.chunks) async for batch in listener]
        assert sizes[:2] == [BATCH_CHUNKS] * 2
        assert len(sizes) == 3
