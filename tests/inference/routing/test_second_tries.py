"""Those in the queue whom a replica has let down, or who try one that let others down."""

import pytest

from inference.errors import EngineUnavailable
from inference.routing.circuit_breaker import CircuitState
from tests.inference.routing.test_queue import TestedQueue, endpoint, enter, entry, model, position, settle


async def test_who_was_let_down_by_a_replica_keeps_its_turn_and_goes_elsewhere() -> None:
    queue, pair = TestedQueue(), model(endpoint(), endpoint())
    slots = [await queue.wait(pair, entry()) for _ in range(2)]
    first, unlucky, patient = entry(), entry(), entry()
    unlucky.failed.add(slots[0])
    tasks = [enter(queue, pair, patient), enter(queue, pair, unlucky)]
    first.failed.add(slots[0])
    before = enter(queue, pair, first)
    await settle()
    assert [position(each) for each in (first, unlucky, patient)] == [1, 2, 3]
    before.cancel()
    await settle()
    queue.free(slots[0])
    await settle()
    # The slot that came free is at the one that failed it: the next in the queue may have it.
    assert not tasks[1].done()
    queue.free(slots[1])
    assert await tasks[1] is slots[1]
    tasks[0].cancel()
    unlucky.failed.update(slots)
    with pytest.raises(EngineUnavailable):
        await queue.wait(pair, unlucky)


async def test_who_can_only_be_served_elsewhere_holds_nobody_up() -> None:
    queue, pair = TestedQueue(), model(endpoint(), endpoint())
    slots = [await queue.wait(pair, entry()) for _ in range(2)]
    unlucky = entry()
    unlucky.failed.add(slots[0])
    waiting = enter(queue, pair, unlucky)
    others = [enter(queue, pair, entry()) for _ in range(2)]
    await settle()
    for other in others:
        queue.free(slots[0])
        await settle()
        assert other.done()
    assert not waiting.done()
    queue.free(slots[1])
    assert await waiting is slots[1]


async def test_a_trial_that_is_given_up_in_the_moment_of_handing_over_may_be_another_ones() -> None:
    queue, single = TestedQueue(), model(endpoint())
    slot = await queue.wait(single, entry())
    gone, waiting = enter(queue, single), enter(queue, single)
    await settle()
    slot.record_failure(EngineUnavailable())
    slot.record_health_check(is_well=True)
    queue.free(slot)
    gone.cancel()
    assert await waiting is slot
    assert slot.circuit.state is CircuitState.HALF_OPEN
    queue.free(slot)
