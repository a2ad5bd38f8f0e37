"""Which of the models that a name stands for is asked, and which ones after it."""

import random
from collections.abc import Callable, Sequence
from enum import IntEnum

from inference.catalog.snapshots import ModelSnapshot, Target
from inference.runtime import Runtime


class Standing(IntEnum):
    """How a model is as this process knows it, from best to worst."""

    FREE = 0
    BUSY = 1
    DOWN = 2


async def models_for(runtime: Runtime, name: str) -> list[ModelSnapshot]:
    """Return the models to be asked, in this order. Raises ModelNotFound."""
    targets = await runtime.catalog.find(name)
    if len(targets) == 1:
        return [targets[0].model]
    standings = [standing_of(runtime, target.model) for target in targets]
    return in_order(targets, standings, random.expovariate)


def in_order(
    targets: Sequence[Target], standings: Sequence[Standing], draw: Callable[[float], float]
) -> list[ModelSnapshot]:
    """Return the models in the order in which they are asked.

    Of those that have room, the ones with a weight come first: each is the first with a probability of its share of
    their weights, because of variates that ``draw`` makes with such rates the smallest is so. Then those without one,
    as they were written. Behind them come those that have no room, in the same way, and at last those that are down.
    """

    def rank(place: int) -> tuple[Standing, bool, float]:
        weight = targets[place].weight
        return standings[place], weight is None, place if weight is None else draw(weight)

    return [targets[place].model for place in sorted(range(len(targets)), key=rank)]


def standing_of(runtime: Runtime, model: ModelSnapshot) -> Standing:
    """Return whether a request for the model would be sent at once, would wait, or would most likely fail."""
    replicas = [runtime.replicas.of(endpoint) for endpoint in model.endpoints]
    working = [replica for replica in replicas if replica.circuit.allows_request]
    if not working:
        return Standing.DOWN
    has_room = any(each.is_free and not (each.says_full or each.is_queueing) for each in working)
    return Standing.FREE if has_room and not len(runtime.queues.of(model)) else Standing.BUSY
