"""Places at a model's endpoints, and the line in front of them."""

import asyncio
import random

import pytest
from pytest_django.fixtures import Settings

from inference.admission import Queue, project_place
from inference.catalogue import EndpointSnapshot, ModelSnapshot
from inference.errors import ConcurrencyLimited, EngineOverloaded, EngineUnavailable


def endpoint(number: int, concurrency: int = 1) -> EndpointSnapshot:
    return EndpointSnapshot(number, "tgi", f"http://127.0.0.1:{number}", "secret", "tgi", concurrency)


def model(*endpoints: EndpointSnapshot) -> ModelSnapshot:
    return ModelSnapshot("a/b", 100, 10, endpoints, ())


def ignore(position: int) -> None:
    """Take no note of the position."""


def enter(queue: Queue, wanted: ModelSnapshot, positions: list[int] | None = None) -> "asyncio.Task[EndpointSnapshot]":
    note = ignore if positions is None else positions.append
    return asyncio.ensure_future(queue.enter(wanted, note))


async def settle() -> None:
    """Let everything happen that can happen now."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_those_who_wait_are_served_in_order_and_hear_their_place() -> None:
    queue, single = Queue(), model(endpoint(1))
    first = await queue.enter(single, ignore)
    heard: list[list[int]] = [[], [], []]
    waiting = [enter(queue, single, positions) for positions in heard]
    await settle()
    assert heard == [[1], [2], [3]]
    for served in range(3):
        queue.leave(first)
        await settle()
        assert [task.done() for task in waiting] == [number <= served for number in range(3)]
    assert heard == [[1], [2, 1], [3, 2, 1]]
    queue.leave(first)
    assert +queue.running == {}


async def test_nobody_overtakes_those_who_wait() -> None:
    queue, single = Queue(), model(endpoint(1))
    place = await queue.enter(single, ignore)
    waiting = enter(queue, single)
    await settle()
    queue.leave(place)
    # The place is handed over already, though the waiter has not yet run.
    late = enter(queue, single)
    await settle()
    assert waiting.done()
    assert not late.done()
    late.cancel()


async def test_the_least_busy_endpoint_is_chosen_by_its_share() -> None:
    queue, pair = Queue(), model(endpoint(1, 2), endpoint(2, 4))
    chosen = [(await queue.enter(pair, ignore)).id for _ in range(6)]
    assert sorted(chosen) == [1, 1, 2, 2, 2, 2]
    assert set(chosen[:2]) == {1, 2}


async def test_a_waiter_that_is_cancelled_leaves_the_line() -> None:
    queue, single = Queue(), model(endpoint(1))
    place = await queue.enter(single, ignore)
    positions: list[int] = []
    gone, waiting = enter(queue, single), enter(queue, single, positions)
    await settle()
    gone.cancel()
    await settle()
    assert positions == [2, 1]
    queue.leave(place)
    assert (await waiting).id == 1


@pytest.mark.parametrize("order", ["cancelled first", "handed over first"])
async def test_a_place_handed_over_in_the_moment_of_giving_up_goes_to_the_next(order: str) -> None:
    queue, single = Queue(), model(endpoint(1))
    place = await queue.enter(single, ignore)
    gone, waiting = enter(queue, single), enter(queue, single)
    await settle()
    if order == "cancelled first":
        gone.cancel()
        queue.leave(place)
    else:
        queue.leave(place)
        gone.cancel()
    await settle()
    assert gone.cancelled()
    assert (await waiting).id == 1
    queue.leave(place)
    assert +queue.running == {}


async def test_a_full_line_and_a_long_wait_are_refused(settings: Settings) -> None:
    settings.QUEUE_LENGTH, settings.QUEUE_SECONDS = 1, 0.05
    queue, single = Queue(), model(endpoint(1))
    await queue.enter(single, ignore)
    waiting = enter(queue, single)
    await settle()
    with pytest.raises(EngineOverloaded):
        await queue.enter(single, ignore)
    with pytest.raises(EngineOverloaded):
        await waiting
    with pytest.raises(EngineUnavailable):
        await queue.enter(model(), ignore)


async def test_an_endpoint_that_was_added_serves_those_who_wait_already() -> None:
    queue = Queue()
    await queue.enter(model(endpoint(1)), ignore)
    waiting = enter(queue, model(endpoint(1)))
    await settle()
    assert not waiting.done()
    newcomer = enter(queue, model(endpoint(1), endpoint(2, 2)))
    assert (await waiting).id == (await newcomer).id == 2


async def test_an_endpoint_that_was_removed_gets_nobody_new() -> None:
    queue = Queue()
    old = await queue.enter(model(endpoint(1)), ignore)
    new = await queue.enter(model(endpoint(2)), ignore)
    waiting = enter(queue, model(endpoint(2)))
    await settle()
    queue.leave(old)
    await settle()
    assert not waiting.done()
    queue.leave(new)
    assert (await waiting).id == 2


async def test_whatever_happens_no_place_is_lost_or_taken_twice(settings: Settings) -> None:
    settings.QUEUE_SECONDS = 0.01
    chance = random.Random(5)
    queue, pair = Queue(), model(endpoint(1, 2), endpoint(2, 3))
    most = 0

    async def visit() -> None:
        nonlocal most
        place = await queue.enter(pair, ignore)
        try:
            most = max(most, queue.running.total())
            await asyncio.sleep(chance.choice([0, 0.001, 0.012]))
        finally:
            queue.leave(place)

    for _ in range(20):
        visits = [asyncio.ensure_future(visit()) for _ in range(40)]
        for task in visits:
            await asyncio.sleep(chance.choice([0, 0, 0.0005]))
            if chance.random() < 0.4:
                chance.choice(visits).cancel()
            assert all(queue.running[each.id] <= each.concurrency for each in pair.endpoints)
            del task
        await asyncio.gather(*visits, return_exceptions=True)
        assert +queue.running == {}
    assert most == 5


def test_requests_in_flight_are_counted_by_project(settings: Settings) -> None:
    settings.PROJECT_CONCURRENCY = 2
    with project_place(1), project_place(1):
        with pytest.raises(ConcurrencyLimited), project_place(1):
            pass
        with project_place(2):
            pass
    with project_place(1), project_place(1):
        pass
