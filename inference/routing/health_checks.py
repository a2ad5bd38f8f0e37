"""Replicas that do not answer are found before a request finds them, and are back soon after they answer again."""

import asyncio
import logging
from typing import Final

from django.db import DatabaseError

from inference.catalog import snapshots
from inference.engines import engine_for
from inference.routing import queue
from inference.routing.replicas import Replica, replica_of
from inference.transport import client

logger = logging.getLogger(__name__)

PROBE_SECONDS: Final = 1.5
"""How often each replica is asked, and how long it may take to answer."""
FAILURES_BORNE: Final = 1
"""How often in a row a replica may not answer; one that is very busy can be late once."""


async def watch() -> None:
    """Ask every replica of every model that has more than one, again and again, until cancelled.

    A model's only endpoint is not asked: whatever is known of it, requests have nowhere else to go. Those who wait in
    line hear of new and of drained replicas as often.
    """
    silent: dict[Replica, int] = {}
    while True:
        await asyncio.sleep(PROBE_SECONDS)
        try:
            models = await snapshots.every()
        except DatabaseError:
            logger.warning("the replicas are not looked after while the database is away")
            continue
        queue.hear(models)
        several = [model.endpoints for model in models.values() if len(model.endpoints) > 1]
        replicas = [replica_of(endpoint) for endpoints in several for endpoint in endpoints]
        answers = await asyncio.gather(*(_answers(replica) for replica in replicas))
        silent = {
            replica: silent.get(replica, 0) + 1
            for replica, is_well in zip(replicas, answers, strict=True)
            if not _note(replica, is_well, silent.get(replica, 0))
        }


def _note(replica: Replica, is_well: bool, silences: int) -> bool:
    """Act on what a replica said of itself, or on how often before it said nothing."""
    if is_well:
        replica.circuit.invite()
    elif silences >= FAILURES_BORNE:
        replica.fall_silent()
    return is_well


async def _answers(replica: Replica) -> bool:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return await engine_for(replica.endpoint, client.shared()).is_healthy()
    except TimeoutError:
        return False
