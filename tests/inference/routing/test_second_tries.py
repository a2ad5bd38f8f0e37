"""Those in line whom a replica has let down, or who try one that let others down."""

import pytest

from inference.errors import EngineUnavailable
from inference.routing.circuit_breaker import CircuitState
from inference.routing.queue import Line
from tests.inference.routing.test_queue import endpoint, enter, model, position, settle, ticket


async def test_who_was_let_down_by_a_replica_keeps_his_turn_and_goes_elsewhere() -> None:
    line, pair = Line(), model(endpoint(), endpoint())
    places = [await line.enter(pair, ticket()) for _ in range(2)]
    first, unlucky, patient = ticket(), ticket(), ticket()
    unlucky.failed.add(places[0])
    tasks = [enter(line, pair, patient), enter(line, pair, unlucky)]
    first.failed.add(places[0])
    before = enter(line, pair, first)
    await settle()
    assert [position(each) for each in (first, unlucky, patient)] == [1, 2, 3]
    before.cancel()
    await settle()
    line.leave(places[0])
    await settle()
    # The place that came free is the one that failed it: the next in line may have it.
    assert not tasks[1].done()
    line.leave(places[1])
    assert await tasks[1] is places[1]
    tasks[0].cancel()
    unlucky.failed.update(places)
    with pytest.raises(EngineUnavailable):
        await line.enter(pair, unlucky)


async def test_who_can_only_be_served_elsewhere_holds_nobody_up() -> None:
    line, pair = Line(), model(endpoint(), endpoint())
    places = [await line.enter(pair, ticket()) for _ in range(2)]
    unlucky = ticket()
    unlucky.failed.add(places[0])
    waiting = enter(line, pair, unlucky)
    others = [enter(line, pair, ticket()) for _ in range(2)]
    await settle()
    for other in others:
        line.leave(places[0])
        await settle()
        assert other.done()
    assert not waiting.done()
    line.leave(places[1])
    assert await waiting is places[1]


async def test_a_trial_that_is_given_up_in_the_moment_of_handing_over_may_be_another_ones() -> None:
    line, single = Line(), model(endpoint())
    place = await line.enter(single, ticket())
    gone, waiting = enter(line, single), enter(line, single)
    await settle()
    place.fail(EngineUnavailable())
    place.circuit.invite()
    line.leave(place)
    gone.cancel()
    assert await waiting is place
    assert place.circuit.state is CircuitState.TRIED
    line.leave(place)
