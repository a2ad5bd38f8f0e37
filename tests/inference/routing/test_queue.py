"""The queue in front of a model's replicas."""

import asyncio
import random
from collections import Counter

import pytest
from django.conf import settings
from pytest_django.fixtures import Settings

from inference.billing.prompt import Overhead
from inference.catalog.snapshots import EndpointSnapshot, ModelSnapshot
from inference.errors import EngineOverloaded, EngineUnavailable
from inference.routing.fair_share import KEPT_ROUNDS
from inference.routing.queue import Queue, QueueEntry, QueuePosition
from inference.routing.replicas import Replica
from tests.inference.clients import engine_for
from tests.runtimes import runtime

_ids = iter(range(10_000, 10_000_000))


def endpoint(concurrency: int = 1) -> EndpointSnapshot:
    """Return an endpoint that no other test knows."""
    number = next(_ids)
    return EndpointSnapshot(number, "tgi", f"http://127.0.0.1:{number}", "secret", "tgi", concurrency)


def model(*endpoints: EndpointSnapshot) -> ModelSnapshot:
    return ModelSnapshot("a/b", 100, Overhead(10, 10, 10, None), endpoints, ())


def replica(of: EndpointSnapshot) -> Replica:
    """Return a replica that nobody knows of."""
    return Replica(of, engine_for(of))


def replica_of(each: EndpointSnapshot) -> Replica:
    """Return a replica as all queues of the test know it."""
    return runtime().replicas.of(each)


class Entry(QueueEntry):
    """One that waits as a coroutine does."""

    def __init__(self, project: int, affinity: int) -> None:
        super().__init__(project, affinity, self._came, self._refused)
        self._slot: asyncio.Future[Replica] = asyncio.get_running_loop().create_future()

    def _came(self, replica: Replica) -> None:
        self._slot.set_result(replica)

    def _refused(self, refusal: EngineOverloaded) -> None:
        self._slot.set_exception(refusal)


class TestedQueue(Queue):
    """A queue that is entered as a coroutine waits."""

    __test__ = False

    def __init__(self) -> None:
        super().__init__(runtime().replicas)

    async def wait(self, wanted: ModelSnapshot, who: Entry) -> Replica:
        """Take a slot, waiting for one as long as a run does."""
        if replica := self.enter(wanted, who):
            return replica
        try:
            async with asyncio.timeout(settings.QUEUE_SECONDS):
                return await asyncio.shield(who._slot)
        except TimeoutError:
            self._give_up(who)
            raise self.refusal() from None
        except asyncio.CancelledError:
            self._give_up(who)
            raise

    def _give_up(self, who: Entry) -> None:
        self.abandon(who)
        # It was told in the very turn that it gives up in.
        if who._slot.done() and not who._slot.exception():
            self.leave(who._slot.result(), who)

    def free(self, replica: Replica) -> None:
        """Give a slot back as one that was not used."""
        replica.leave()
        self._serve()


def entry(project: int = 1, affinity: int = 0) -> Entry:
    return Entry(project, affinity)


def enter(queue: TestedQueue, wanted: ModelSnapshot, who: Entry | None = None) -> "asyncio.Task[Replica]":
    return asyncio.ensure_future(queue.wait(wanted, who or entry()))


def running(wanted: ModelSnapshot) -> list[int]:
    return [replica_of(each).running for each in wanted.endpoints]


def position(each: Entry) -> int | None:
    return each.position.position if each.position else None


async def settle() -> None:
    """Let everything happen that can happen now."""
    for _ in range(5):
        await asyncio.sleep(0)


async def visit(queue: TestedQueue, wanted: ModelSnapshot, who: Entry, served: list[Entry]) -> None:
    """Wait for a slot, note that it came, and give it back."""
    replica = await queue.wait(wanted, who)
    served.append(who)
    queue.free(replica)


async def test_one_project_is_served_in_order_and_knows_its_place() -> None:
    queue, single = TestedQueue(), model(endpoint())
    first = await queue.wait(single, entry())
    entries = [entry() for _ in range(3)]
    waiting = [enter(queue, single, each) for each in entries]
    await settle()
    for served in range(3):
        assert [position(each) for each in entries] == [None] * served + [1, 2, 3][: 3 - served]
        queue.free(first)
        await settle()
        assert [task.done() for task in waiting] == [number <= served for number in range(3)]
    queue.free(first)
    assert running(single) == [0]


async def test_projects_take_turns_and_positions_foretell_the_order() -> None:
    queue, single = TestedQueue(), model(endpoint())
    slot = await queue.wait(single, entry(9))
    arrivals = [entry(project) for project in (1, 1, 1, 1, 2, 2, 3)]
    served: list[Entry] = []
    waiting = [asyncio.ensure_future(visit(queue, single, each, served)) for each in arrivals]
    await settle()
    foretold = sorted(arrivals, key=lambda each: position(each) or 0)
    assert [position(each) for each in foretold] == [1, 2, 3, 4, 5, 6, 7]
    queue.free(slot)
    await asyncio.gather(*waiting)
    assert served == foretold
    assert [each.project_id for each in served] == [1, 2, 3, 1, 2, 1, 1]


async def test_a_quiet_project_goes_first_as_far_as_it_let_turns_pass() -> None:
    queue, single = TestedQueue(), model(endpoint())
    slot = await queue.wait(single, entry(1))
    flood = [enter(queue, single, entry(1)) for _ in range(20)]
    await settle()
    for _ in range(10):
        queue.free(slot)
        await settle()
    served: list[Entry] = []
    visits = [asyncio.ensure_future(visit(queue, single, entry(2), served)) for _ in range(6)]
    await settle()
    flooding = [asyncio.ensure_future(visit(queue, single, entry(1), served)) for _ in range(3)]
    for waiting in flood[10:]:
        waiting.cancel()
    await settle()
    queue.free(slot)
    await asyncio.gather(*visits, *flooding)
    assert [each.project_id for each in served] == [2] * KEPT_ROUNDS + [2, 1, 2, 1, 2, 1]


async def test_turns_are_not_kept_from_before_the_queue_was_empty() -> None:
    queue, single = TestedQueue(), model(endpoint())
    slot = await queue.wait(single, entry(1))
    flood = [enter(queue, single, entry(1)) for _ in range(10)]
    await settle()
    for waiting in flood:
        queue.free(slot)
        await waiting
    served: list[Entry] = []
    visits = [asyncio.ensure_future(visit(queue, single, entry(project), served)) for project in (1, 1, 2, 2)]
    await settle()
    queue.free(slot)
    await asyncio.gather(*visits)
    assert [each.project_id for each in served] == [1, 2, 1, 2]


async def test_positions_foretell_the_order_however_many_turns_each_has_had() -> None:
    chance = random.Random(7)
    queue, single = TestedQueue(), model(endpoint())
    slot = await queue.wait(single, entry(9))
    waiting: list[Entry] = []
    visits: list[asyncio.Task[Replica]] = []
    for _ in range(300):
        for project in chance.choices((1, 2, 3, 4), weights=(9, 3, 1, 1), k=chance.randrange(3)):
            waiting.append(entry(project))
            visits.append(enter(queue, single, waiting[-1]))
        await settle()
        foretold = sorted(waiting, key=lambda each: position(each) or 0)
        assert [position(each) for each in foretold] == list(range(1, len(waiting) + 1))
        if waiting:
            queue.free(slot)
            await settle()
            assert position(foretold[0]) is None
            waiting.remove(foretold[0])
    rest = sorted(waiting, key=lambda each: position(each) or 0)
    for each in rest:
        assert position(each) == 1
        queue.free(slot)
        await settle()
        assert position(each) is None
    assert all(each.done() for each in visits)


async def test_nobody_overtakes_those_who_wait() -> None:
    queue, single = TestedQueue(), model(endpoint())
    slot = await queue.wait(single, entry())
    waiting = enter(queue, single)
    await settle()
    queue.free(slot)
    # The slot is handed over already, though the waiter has not yet run.
    late = enter(queue, single)
    await settle()
    assert waiting.done()
    assert not late.done()
    late.cancel()


async def test_the_wait_is_estimated_by_the_pace_of_late() -> None:
    queue, single = TestedQueue(), model(endpoint())
    slot = await queue.wait(single, entry())
    entries = [entry() for _ in range(6)]
    waiting = [enter(queue, single, each) for each in entries]
    await settle()
    assert entries[-1].position == QueuePosition(6, None)
    for _ in range(3):
        await asyncio.sleep(0.4)
        queue.free(slot)
    # Three served, the first 0.8 seconds ago: three more take as long, and a busy machine longer.
    last = entries[-1].position
    assert last
    assert last.position == 3
    assert 1 <= (last.wait_seconds or 0) < 10
    for task in waiting:
        task.cancel()


async def test_one_that_is_cancelled_leaves_the_queue() -> None:
    queue, single = TestedQueue(), model(endpoint())
    slot = await queue.wait(single, entry())
    second = entry()
    gone, waiting = enter(queue, single), enter(queue, single, second)
    await settle()
    assert position(second) == 2
    gone.cancel()
    await settle()
    assert position(second) == 1
    queue.free(slot)
    assert await waiting is slot


@pytest.mark.parametrize("order", ["cancelled first", "handed over first"])
async def test_a_slot_handed_over_in_the_moment_of_giving_up_goes_to_the_next(order: str) -> None:
    queue, single = TestedQueue(), model(endpoint())
    slot = await queue.wait(single, entry())
    gone, waiting = enter(queue, single), enter(queue, single)
    await settle()
    if order == "cancelled first":
        gone.cancel()
        queue.free(slot)
    else:
        queue.free(slot)
        gone.cancel()
    await settle()
    assert gone.cancelled()
    queue.free(await waiting)
    assert running(single) == [0]


async def test_a_full_queue_and_a_long_wait_are_refused(settings: Settings) -> None:
    settings.QUEUE_LENGTH, settings.QUEUE_SECONDS = 1, 0.05
    queue, single = TestedQueue(), model(endpoint())
    await queue.wait(single, entry())
    waiting = enter(queue, single)
    await settle()
    with pytest.raises(EngineOverloaded):
        await queue.wait(single, entry())
    with pytest.raises(EngineOverloaded):
        await waiting
    with pytest.raises(EngineUnavailable):
        await queue.wait(model(), entry())


async def test_a_full_queue_makes_room_for_a_project_that_waits_less(settings: Settings) -> None:
    settings.QUEUE_LENGTH = 4
    queue, single = TestedQueue(), model(endpoint())
    slot = await queue.wait(single, entry())
    flood = [enter(queue, single, entry(1)) for _ in range(4)]
    await settle()
    quiet = [enter(queue, single, entry(2)) for _ in range(2)]
    await settle()
    assert [task.done() for task in flood] == [False, False, True, True]
    with pytest.raises(EngineOverloaded):
        await flood[3]
    third = enter(queue, single, entry(2))
    with pytest.raises(EngineOverloaded):
        await third
    assert isinstance(flood[2].exception(), EngineOverloaded)
    for _ in range(4):
        queue.free(slot)
        await settle()
    assert [task.done() for task in (*flood[:2], *quiet)] == [True] * 4


async def test_an_endpoint_that_was_added_serves_those_who_wait_already() -> None:
    queue, old, new = TestedQueue(), endpoint(), endpoint(2)
    await queue.wait(model(old), entry())
    waiting = enter(queue, model(old))
    await settle()
    assert not waiting.done()
    newcomer = enter(queue, model(old, new))
    assert (await waiting).endpoint == (await newcomer).endpoint == new


async def test_an_endpoint_that_was_removed_gets_nobody_new() -> None:
    queue, old_one, new_one = TestedQueue(), endpoint(), endpoint()
    old = await queue.wait(model(old_one), entry())
    new = await queue.wait(model(new_one), entry())
    waiting = enter(queue, model(new_one))
    await settle()
    queue.free(old)
    await settle()
    assert not waiting.done()
    queue.free(new)
    assert await waiting is new


async def test_whatever_happens_no_slot_is_lost_or_taken_twice(settings: Settings) -> None:
    settings.QUEUE_SECONDS, settings.QUEUE_LENGTH = 0.01, 20
    chance = random.Random(5)
    queue, pair = TestedQueue(), model(endpoint(2), endpoint(3))
    most = 0

    async def visit() -> None:
        nonlocal most
        slot = await queue.wait(pair, entry(chance.randrange(4), chance.randrange(9)))
        try:
            most = max(most, sum(running(pair)))
            await asyncio.sleep(chance.choice([0, 0.001, 0.012]))
        finally:
            queue.free(slot)

    for _ in range(20):
        visits = [asyncio.ensure_future(visit()) for _ in range(40)]
        for _each in visits:
            await asyncio.sleep(chance.choice([0, 0, 0.0005]))
            if chance.random() < 0.4:
                chance.choice(visits).cancel()
            assert all(replica_of(each).running <= each.concurrency for each in pair.endpoints)
        outcomes = await asyncio.gather(*visits, return_exceptions=True)
        kinds = Counter(type(outcome) for outcome in outcomes)
        assert set(kinds) <= {type(None), asyncio.CancelledError, EngineOverloaded}
        assert (running(pair), len(queue)) == ([0, 0], 0)
    assert most == 5
