"""What the processes know of the replicas: this one from its own memory, the others by a row that each writes.

A process that serves alone writes nothing, and neither does one that has nothing to tell.
"""

import asyncio
import logging
from datetime import timedelta
from typing import Final

import msgspec
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from core import ids
from inference.models import ProcessReport
from inference.routing.replicas import Failure, Replica
from inference.runtime import Runtime, serving

REPORT_SECONDS: Final = 2.0
"""How often a process writes."""
BELIEVED_FOR: Final = timedelta(seconds=10)
"""An older report is of a process that is gone, or stuck."""

logger = logging.getLogger(__name__)


class ReplicaReport(msgspec.Struct, frozen=True):
    """One process's view of one replica."""

    endpoint_id: int
    running: int
    tokens_per_second: float
    # The value of a CircuitState; the version before called it ``circuit``, and had one state more.
    breaker: int = 0
    open_seconds: float = 0.0
    last_failure: Failure | None = None


class Report(msgspec.Struct, frozen=True):
    """What one process knows: of each replica that it has anything to tell of, and how many wait for each model."""

    replicas: list[ReplicaReport] = []
    waiting: dict[str, int] = {}


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Report).decode


def own(runtime: Runtime | None) -> Report:
    """Return what this process knows, if it serves; for any thread."""
    if runtime is None:
        return Report()
    told = [_told(replica) for replica in runtime.replicas.every()]
    return Report(
        [each for each in told if each.running or each.tokens_per_second or each.breaker or each.last_failure],
        {model_id: count for model_id, count in runtime.queues.waiting().items() if count},
    )


def every() -> list[Report]:
    """Return what each process knows that serves now, this one first. Asks the database where there are others."""
    if _serves_alone():
        return [own(serving())]
    others = ProcessReport.objects.filter(written_at__gt=timezone.now() - BELIEVED_FOR)
    bodies = others.exclude(pk=ids.process_name()).order_by("pk").values_list("body", flat=True)
    return [own(serving()), *(_decode(body) for body in bodies)]


async def watch(runtime: Runtime) -> None:
    """Write what this process knows, again and again, until cancelled; at once return where it serves alone."""
    if _serves_alone():
        return
    was_told = False
    while True:
        report = own(runtime)
        has_news = report != Report()
        if has_news or was_told:
            await _write(report)
        was_told = has_news
        await asyncio.sleep(REPORT_SECONDS)


async def _write(report: Report) -> None:
    try:
        await database_sync_to_async(_save)(_encode(report))
    except DatabaseError:
        logger.warning("the state of the replicas was not reported: the database is away")


def _serves_alone() -> bool:
    return settings.WORKERS == 1 and not settings.REDIS_URL


def _save(body: bytes) -> None:
    now = timezone.now()
    ProcessReport.objects.update_or_create({"written_at": now, "body": body}, pk=ids.process_name())
    ProcessReport.objects.filter(written_at__lt=now - BELIEVED_FOR).delete()


def _told(replica: Replica) -> ReplicaReport:
    circuit = replica.circuit
    return ReplicaReport(
        replica.endpoint.id,
        replica.running,
        replica.throughput.per_second(),
        circuit.state,
        circuit.open_seconds,
        replica.last_failure,
    )
