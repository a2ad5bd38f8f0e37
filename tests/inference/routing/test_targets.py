"""Which of an alias's models is asked first, and which ones after it."""

import random
from collections import Counter

import pytest

from inference.billing.prompt import Overhead
from inference.catalog.snapshots import ModelSnapshot, Target
from inference.errors import EngineOverloaded, EngineUnavailable
from inference.routing.targets import Standing, in_order, standing_of
from tests.inference.routing.test_queue import endpoint, model, replica_of
from tests.runtimes import runtime

FREE, BUSY, DOWN = Standing


def target(name: str, weight: int | None = None) -> Target:
    return Target(ModelSnapshot(name, 100, Overhead(10, 10, 10, None), (), ()), weight)


def order(targets: list[Target], standings: list[Standing], seed: int = 1) -> str:
    return "".join(each.id for each in in_order(targets, standings, random.Random(seed).expovariate))


def test_models_are_first_by_the_share_of_their_weights() -> None:
    targets, draw = [target("a", 90), target("b", 10), target("c")], random.Random(7).expovariate
    firsts = Counter(in_order(targets, [FREE] * 3, draw)[0].id for _ in range(10_000))
    assert firsts.keys() == {"a", "b"}
    assert 850 <= firsts["b"] <= 1_150


@pytest.mark.parametrize(
    ("standings", "expected"),
    [
        ([FREE, DOWN, FREE], {"acb"}),
        ([BUSY, FREE, FREE], {"bca"}),
        ([DOWN, BUSY, FREE], {"cba"}),
        ([BUSY, BUSY, FREE], {"cab", "cba"}),
        ([DOWN, DOWN, BUSY], {"cab", "cba"}),
        ([BUSY, DOWN, BUSY], {"acb"}),
        ([DOWN, DOWN, DOWN], {"abc", "bac"}),
    ],
)
def test_those_with_room_come_first_and_those_that_are_down_at_last(
    standings: list[Standing], expected: set[str]
) -> None:
    targets = [target("a", 1), target("b", 1), target("c")]
    assert {order(targets, standings, seed) for seed in range(40)} == expected


def test_without_weights_they_are_asked_as_they_are_written() -> None:
    assert {order([target(name) for name in "cab"], [FREE] * 3, seed) for seed in range(10)} == {"cab"}


async def test_a_model_is_free_busy_or_down_by_what_its_replicas_are() -> None:
    one, other = endpoint(), endpoint()
    pair = model(one, other)
    assert standing_of(runtime(), pair) is FREE
    replica_of(one).record_failure(EngineUnavailable())
    assert standing_of(runtime(), pair) is FREE
    replica_of(other).record_failure(EngineOverloaded())
    assert standing_of(runtime(), pair) is BUSY
    replica_of(other).record_failure(EngineUnavailable())
    assert standing_of(runtime(), pair) is DOWN
    full = model(endpoint())
    replica_of(full.endpoints[0]).enter()
    assert standing_of(runtime(), full) is BUSY
    assert standing_of(runtime(), model()) is DOWN
