"""Replicas that do not answer are found before a request finds them, and are back soon after they answer again."""

import asyncio
import itertools
import logging
from typing import Final

from django.db import DatabaseError

from inference.routing.replicas import Replica
from inference.runtime import Runtime

logger = logging.getLogger(__name__)

CHECK_SECONDS: Final = 1.5
"""How often each replica is asked, and how long it may take to answer."""
FAILURE_THRESHOLD: Final = 2
"""How often in a row a replica may fail to answer until it is not called any more; a busy one can be late once."""

SELDOM: Final = 40
"""In one of so many rounds, those are asked how busy they are that did not tell."""


async def watch(runtime: Runtime) -> None:
    """Check every replica of every model that has more than one, again and again, until cancelled.

    A model's only endpoint is not checked: whatever is known of it, requests have nowhere else to go. Queues hear of
    new and of drained replicas as often.
    """
    failures: dict[Replica, int] = {}
    silent: set[Replica] = set()
    for round_number in itertools.count():
        await asyncio.sleep(CHECK_SECONDS)
        try:
            models = await runtime.catalog.every()
        except DatabaseError:
            logger.warning("the replicas are not checked while the database is away")
            continue
        runtime.queues.learn(models)
        several = [model.endpoints for model in models.values() if len(model.endpoints) > 1]
        replicas = [runtime.replicas.of(endpoint) for endpoints in several for endpoint in endpoints]
        asked = [each for each in replicas if each not in silent or round_number % SELDOM == 0]
        answers, tell = await asyncio.gather(
            asyncio.gather(*(_is_well(replica) for replica in replicas)),
            asyncio.gather(*(_learn_load(replica) for replica in asked)),
        )
        silent = silent - set(asked) | {each for each, tells in zip(asked, tell, strict=True) if not tells}
        failures = {
            replica: failures.get(replica, 0) + 1
            for replica, is_well in zip(replicas, answers, strict=True)
            if not _record(replica, failures.get(replica, 0), is_well=is_well)
        }


def _record(replica: Replica, failures: int, *, is_well: bool) -> bool:
    """Note what a replica said of itself, or that it said nothing too often; ``failures`` is how often before."""
    if is_well or failures + 1 >= FAILURE_THRESHOLD:
        replica.record_health_check(is_well=is_well)
    return is_well


async def _learn_load(replica: Replica) -> bool:
    """Ask a replica how busy it is; return whether it is one that tells. One that is late may tell the next time."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            replica.told = await replica.engine.load()
    except TimeoutError:
        replica.told = None
        return True
    return replica.told is not None


async def _is_well(replica: Replica) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await replica.engine.is_healthy()
    except TimeoutError:
        return False
