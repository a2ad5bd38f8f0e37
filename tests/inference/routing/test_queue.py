"""The line in front of a model's replicas."""

import asyncio
import random
from collections import Counter

import pytest
from pytest_django.fixtures import Settings

from inference.billing.prompt import Overhead
from inference.catalog.snapshots import EndpointSnapshot, ModelSnapshot
from inference.errors import EngineOverloaded, EngineUnavailable
from inference.routing.fair_share import KEPT_ROUNDS
from inference.routing.queue import Line, PlaceInLine, Ticket
from inference.routing.replicas import Replica, replica_of

_ids = iter(range(10_000, 10_000_000))


def endpoint(concurrency: int = 1) -> EndpointSnapshot:
    """Return an endpoint that no other test knows."""
    number = next(_ids)
    return EndpointSnapshot(number, "tgi", f"http://127.0.0.1:{number}", "secret", "tgi", concurrency)


def model(*endpoints: EndpointSnapshot) -> ModelSnapshot:
    return ModelSnapshot("a/b", 100, Overhead(10, 10, 10, None), endpoints, ())


def ticket(project: int = 1, affinity: int = 0) -> Ticket:
    return Ticket(project, affinity)


def enter(line: Line, wanted: ModelSnapshot, who: Ticket | None = None) -> "asyncio.Task[Replica]":
    return asyncio.ensure_future(line.enter(wanted, who or ticket()))


def running(wanted: ModelSnapshot) -> list[int]:
    return [replica_of(each).running for each in wanted.endpoints]


def position(each: Ticket) -> int | None:
    return each.place and each.place.position


async def settle() -> None:
    """Let everything happen that can happen now."""
    for _ in range(5):
        await asyncio.sleep(0)


async def visit(line: Line, wanted: ModelSnapshot, who: Ticket, served: list[Ticket]) -> None:
    """Wait for a place, note that it came, and give it back."""
    replica = await line.enter(wanted, who)
    served.append(who)
    line.leave(replica)


async def test_one_project_is_served_in_order_and_knows_its_place() -> None:
    line, single = Line(), model(endpoint())
    first = await line.enter(single, ticket())
    tickets = [ticket() for _ in range(3)]
    waiting = [enter(line, single, each) for each in tickets]
    await settle()
    for served in range(3):
        assert [position(each) for each in tickets] == [None] * served + [1, 2, 3][: 3 - served]
        line.leave(first)
        await settle()
        assert [task.done() for task in waiting] == [number <= served for number in range(3)]
    line.leave(first)
    assert running(single) == [0]


async def test_projects_take_turns_and_positions_foretell_the_order() -> None:
    line, single = Line(), model(endpoint())
    place = await line.enter(single, ticket(9))
    arrivals = [ticket(project) for project in (1, 1, 1, 1, 2, 2, 3)]
    served: list[Ticket] = []
    waiting = [asyncio.ensure_future(visit(line, single, each, served)) for each in arrivals]
    await settle()
    foretold = sorted(arrivals, key=lambda each: position(each) or 0)
    assert [position(each) for each in foretold] == [1, 2, 3, 4, 5, 6, 7]
    line.leave(place)
    await asyncio.gather(*waiting)
    assert served == foretold
    assert [each.project_id for each in served] == [1, 2, 3, 1, 2, 1, 1]


async def test_a_quiet_project_goes_first_as_far_as_it_let_turns_pass() -> None:
    line, single = Line(), model(endpoint())
    place = await line.enter(single, ticket(1))
    flood = [enter(line, single, ticket(1)) for _ in range(20)]
    await settle()
    for _ in range(10):
        line.leave(place)
        await settle()
    served: list[Ticket] = []
    visits = [asyncio.ensure_future(visit(line, single, ticket(2), served)) for _ in range(6)]
    await settle()
    flooding = [asyncio.ensure_future(visit(line, single, ticket(1), served)) for _ in range(3)]
    for waiting in flood[10:]:
        waiting.cancel()
    await settle()
    line.leave(place)
    await asyncio.gather(*visits, *flooding)
    assert [each.project_id for each in served] == [2] * KEPT_ROUNDS + [2, 1, 2, 1, 2, 1]


async def test_turns_are_not_kept_from_before_the_line_was_empty() -> None:
    line, single = Line(), model(endpoint())
    place = await line.enter(single, ticket(1))
    flood = [enter(line, single, ticket(1)) for _ in range(10)]
    await settle()
    for waiting in flood:
        line.leave(place)
        await waiting
    served: list[Ticket] = []
    visits = [asyncio.ensure_future(visit(line, single, ticket(project), served)) for project in (1, 1, 2, 2)]
    await settle()
    line.leave(place)
    await asyncio.gather(*visits)
    assert [each.project_id for each in served] == [1, 2, 1, 2]


async def test_positions_foretell_the_order_however_many_turns_each_has_had() -> None:
    chance = random.Random(7)
    line, single = Line(), model(endpoint())
    place = await line.enter(single, ticket(9))
    waiting: list[Ticket] = []
    visits: list[asyncio.Task[Replica]] = []
    for _ in range(300):
        for project in chance.choices((1, 2, 3, 4), weights=(9, 3, 1, 1), k=chance.randrange(3)):
            waiting.append(ticket(project))
            visits.append(enter(line, single, waiting[-1]))
        await settle()
        foretold = sorted(waiting, key=lambda each: position(each) or 0)
        assert [position(each) for each in foretold] == list(range(1, len(waiting) + 1))
        if waiting:
            line.leave(place)
            await settle()
            assert position(foretold[0]) is None
            waiting.remove(foretold[0])
    rest = sorted(waiting, key=lambda each: position(each) or 0)
    for each in rest:
        assert position(each) == 1
        line.leave(place)
        await settle()
        assert position(each) is None
    assert all(each.done() for each in visits)


async def test_nobody_overtakes_those_who_wait() -> None:
    line, single = Line(), model(endpoint())
    place = await line.enter(single, ticket())
    waiting = enter(line, single)
    await settle()
    line.leave(place)
    # The place is handed over already, though the waiter has not yet run.
    late = enter(line, single)
    await settle()
    assert waiting.done()
    assert not late.done()
    late.cancel()


async def test_the_wait_is_estimated_by_the_pace_of_late() -> None:
    line, single = Line(), model(endpoint())
    place = await line.enter(single, ticket())
    tickets = [ticket() for _ in range(6)]
    waiting = [enter(line, single, each) for each in tickets]
    await settle()
    assert tickets[-1].place == PlaceInLine(6, None)
    for _ in range(3):
        await asyncio.sleep(0.4)
        line.leave(place)
    # Three served, the first 0.8 seconds ago: three more take as long, and a busy machine longer.
    last = tickets[-1].place
    assert last
    assert last.position == 3
    assert 1 <= (last.wait_seconds or 0) < 10
    for task in waiting:
        task.cancel()


async def test_one_that_is_cancelled_leaves_the_line() -> None:
    line, single = Line(), model(endpoint())
    place = await line.enter(single, ticket())
    second = ticket()
    gone, waiting = enter(line, single), enter(line, single, second)
    await settle()
    assert position(second) == 2
    gone.cancel()
    await settle()
    assert position(second) == 1
    line.leave(place)
    assert await waiting is place


@pytest.mark.parametrize("order", ["cancelled first", "handed over first"])
async def test_a_place_handed_over_in_the_moment_of_giving_up_goes_to_the_next(order: str) -> None:
    line, single = Line(), model(endpoint())
    place = await line.enter(single, ticket())
    gone, waiting = enter(line, single), enter(line, single)
    await settle()
    if order == "cancelled first":
        gone.cancel()
        line.leave(place)
    else:
        line.leave(place)
        gone.cancel()
    await settle()
    assert gone.cancelled()
    line.leave(await waiting)
    assert running(single) == [0]


async def test_a_full_line_and_a_long_wait_are_refused(settings: Settings) -> None:
    settings.QUEUE_LENGTH, settings.QUEUE_SECONDS = 1, 0.05
    line, single = Line(), model(endpoint())
    await line.enter(single, ticket())
    waiting = enter(line, single)
    await settle()
    with pytest.raises(EngineOverloaded):
        await line.enter(single, ticket())
    with pytest.raises(EngineOverloaded):
        await waiting
    with pytest.raises(EngineUnavailable):
        await line.enter(model(), ticket())


async def test_a_full_line_makes_room_for_a_project_that_waits_less(settings: Settings) -> None:
    settings.QUEUE_LENGTH = 4
    line, single = Line(), model(endpoint())
    place = await line.enter(single, ticket())
    flood = [enter(line, single, ticket(1)) for _ in range(4)]
    await settle()
    quiet = [enter(line, single, ticket(2)) for _ in range(2)]
    await settle()
    assert [task.done() for task in flood] == [False, False, True, True]
    with pytest.raises(EngineOverloaded):
        await flood[3]
    third = enter(line, single, ticket(2))
    with pytest.raises(EngineOverloaded):
        await third
    assert isinstance(flood[2].exception(), EngineOverloaded)
    for _ in range(4):
        line.leave(place)
        await settle()
    assert [task.done() for task in (*flood[:2], *quiet)] == [True] * 4


async def test_an_endpoint_that_was_added_serves_those_who_wait_already() -> None:
    line, old, new = Line(), endpoint(), endpoint(2)
    await line.enter(model(old), ticket())
    waiting = enter(line, model(old))
    await settle()
    assert not waiting.done()
    newcomer = enter(line, model(old, new))
    assert (await waiting).endpoint == (await newcomer).endpoint == new


async def test_an_endpoint_that_was_removed_gets_nobody_new() -> None:
    line, old_one, new_one = Line(), endpoint(), endpoint()
    old = await line.enter(model(old_one), ticket())
    new = await line.enter(model(new_one), ticket())
    waiting = enter(line, model(new_one))
    await settle()
    line.leave(old)
    await settle()
    assert not waiting.done()
    line.leave(new)
    assert await waiting is new


async def test_whatever_happens_no_place_is_lost_or_taken_twice(settings: Settings) -> None:
    settings.QUEUE_SECONDS, settings.QUEUE_LENGTH = 0.01, 20
    chance = random.Random(5)
    line, pair = Line(), model(endpoint(2), endpoint(3))
    most = 0

    async def visit() -> None:
        nonlocal most
        place = await line.enter(pair, ticket(chance.randrange(4), chance.randrange(9)))
        try:
            most = max(most, sum(running(pair)))
            await asyncio.sleep(chance.choice([0, 0.001, 0.012]))
        finally:
            line.leave(place)

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
        assert (running(pair), len(line)) == ([0, 0], 0)
    assert most == 5
