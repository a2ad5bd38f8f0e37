"""Every way out of a run, at every state that it can be in: each ends it once, and gives back all that it had taken."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from pytest_django.fixtures import Settings

from accounts.caller import Caller
from accounts.models import Team
from core import changes
from credits import ledger
from credits.models import Account, Hold
from inference.catalog.snapshots import TOPIC
from inference.errors import EngineUnavailable
from inference.models import Endpoint, Run
from inference.runs import spine
from inference.runs.spine import LiveRun, State
from tests.fakes.tgi import FakeTgi
from tests.inference.listening import Listener
from tests.inference.scenes import DOLLAR, chat, cost_nano
from tests.patience import eventually
from tests.runtimes import runtime

pytestmark = pytest.mark.django_db(transaction=True)

# Beyond every deadline of a run.
LATE_SECONDS = 10**6
# How many pieces there are before the engine falls silent, or credits end.
PIECES = {State.ASKING: 0, State.STREAMING: 2, State.PAYING: 20}


class Reader(Listener):
    """One who reads on whenever there is something to be read."""

    def chunks_came(self, first: int, chunks: Any) -> None:
        """Take them."""


@asynccontextmanager
async def in_state(state: State, caller: Caller, tgi: FakeTgi) -> AsyncGenerator[tuple[LiveRun, Reader]]:
    """Give a run that waits in this state, and its only subscriber."""
    blocker = None
    if state is State.ADMITTING:
        # The catalogue is read again.
        await sync_to_async(changes.touch)(TOPIC)
    if state is State.QUEUED:
        tgi.script.silent_after = 1
        blocker = spine.start(runtime(), caller, chat(), resumable=True)
        await eventually(lambda: blocker and blocker.state is State.STREAMING)
    if state is State.PAYING:
        held = await ledger.hold(
            caller.team_id, await free_nano() - cost_nano(PIECES[state]), run="other", project="1", key="", seconds=60
        )
    run = spine.start(runtime(), caller, chat())
    reader = Reader(run)
    reader.subscription.resume()
    while run.state is not state:
        assert run.state < state
        await asyncio.sleep(0)
    if state in PIECES:
        await eventually(lambda: run.buffer.delivered == PIECES[state])
    assert run.state is state
    yield run, reader
    await run.ended()
    if state is State.PAYING:
        await ledger.release(held.id)
    if blocker:
        blocker.stop()
        await blocker.ended()


async def free_nano() -> int:
    return (await Account.objects.aget(team__slug="acme")).balance_nano


async def lose_access(run: LiveRun) -> None:
    await Team.objects.filter(slug="acme").aupdate(is_enabled=False)
    run.check_access()
    await run.ended()
    await Team.objects.filter(slug="acme").aupdate(is_enabled=True)


async def leave(run: LiveRun, reader: Reader) -> None:
    reader.subscription.leave()


async def stop(run: LiveRun, reader: Reader) -> None:
    run.stop()
    run.stop(Run.Ending.REVOKED)


async def revoke(run: LiveRun, reader: Reader) -> None:
    await lose_access(run)


async def shut_down(run: LiveRun, reader: Reader) -> None:
    run.stop(Run.Ending.SHUTDOWN, EngineUnavailable())


async def be_late(run: LiveRun, reader: Reader) -> None:
    run.check_deadline(run.loop.time() + LATE_SECONDS)


WAYS: list[tuple[Callable[[LiveRun, Reader], Any], str]] = [
    (leave, "disconnected"),
    (stop, "stopped"),
    (shut_down, "shutdown"),
    (be_late, "timeout"),
    (revoke, "revoked"),
]


@pytest.mark.parametrize(
    "state",
    [State.ADMITTING, State.FUNDING, State.QUEUED, State.ASKING, State.STREAMING, State.PAYING],
    ids=lambda state: state.name.lower(),
)
async def test_every_way_out_of_every_state_ends_the_run_once(
    caller: Caller, tgi: FakeTgi, settings: Settings, state: State
) -> None:
    settings.SLICE_TOKENS, settings.MINIMUM_ANSWER_TOKENS, settings.SLICE_WAIT_SECONDS = 10, 1, 60
    await Endpoint.objects.aupdate(concurrency=1)
    await sync_to_async(changes.touch)(TOPIC)
    blocked_nano = cost_nano(1) if state is State.QUEUED else 0
    for way, ending in WAYS:
        if way is be_late and state < State.QUEUED:
            # What it waits for there has deadlines of its own.
            continue
        tgi.script.default_tokens = 1_000
        tgi.script.silent_after = None if state is State.PAYING else PIECES.get(state, 0)
        before_nano = await free_nano()
        async with in_state(state, caller, tgi) as (run, reader):
            await way(run, reader)
            receipt = await run.ended()
            assert receipt.ending == ending, way
            assert receipt.cost_nano == cost_nano(PIECES.get(state, 0))
        await nothing_is_left(before_nano, receipt.cost_nano + blocked_nano)


async def nothing_is_left(before_nano: int, charged_nano: int) -> None:
    """Check that slots and holds are given back, and what was charged."""

    async def is_free() -> bool:
        return not await Hold.objects.filter(state=Hold.State.OPEN).aexists()

    await eventually(is_free)
    assert all(not replica.running for replica in runtime().replicas.every())
    assert not any(runtime().queues.waiting().values())
    assert len(runtime().runs) == 0
    assert before_nano - await free_nano() == charged_nano


async def test_a_run_that_is_ending_is_left_alone(caller: Caller, tgi: FakeTgi) -> None:
    run = spine.start(runtime(), caller, chat(max_tokens=20))
    async with Listener(run) as listener:
        # Paused, it takes nothing.
        await eventually(lambda: run.state is State.DRAINING)
        run.stop()
        run.check_deadline(run.loop.time() + LATE_SECONDS)
        run.check_access()
        await asyncio.sleep(0)
        assert run.state is State.DRAINING
        text = "".join([chunk.content or "" for chunk in await listener.whole()])
    receipt = await run.ended()
    assert len(text.split()) > 1
    assert (receipt.ending, receipt.cost_nano) == ("length", cost_nano(20))


async def test_a_charge_that_is_counted_is_left_alone(caller: Caller, tgi: FakeTgi) -> None:
    tgi.script.silent_after = 4
    run = spine.start(runtime(), caller, chat(), resumable=True)
    async with Listener(run) as listener:
        async for batch in listener:
            if batch.first + len(batch.chunks) > 4:
                run.stop()
        while run.state is not State.SETTLING:  # noqa: ASYNC110 - it is there for a turn or two
            await asyncio.sleep(0)
        run.stop(Run.Ending.REVOKED)
        run.check_deadline(run.loop.time() + LATE_SECONDS)
        run.check_access()
    receipt = await run.ended()
    assert (receipt.ending, receipt.cost_nano) == ("stopped", cost_nano(4))
    assert DOLLAR - await free_nano() == cost_nano(4)
