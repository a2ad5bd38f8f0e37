"""What the application does when its server starts and ends: the lifespan part of ASGI."""

import asyncio
from pathlib import Path
from typing import Any, cast

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from django.conf import settings

from console.alerts import mailer
from core import ids, locks
from credits import ledger
from inference import runtime
from inference.concurrency.local import InFlight, InFlightTogether
from inference.routing import health_checks, reports
from inference.runs import leases
from inference.runtime import Runtime
from playground.conversations import answers
from playground.remote_runs import server
from playground.socket import base

# Where the processes of this machine count together, and this one's column there: known before the server starts.
_shared_counts: tuple[Path, int] | None = None


def count_together(path: Path, column: int) -> None:
    """Count requests in flight together with the machine's other processes that have a column in this file."""
    global _shared_counts  # noqa: PLW0603 - see there
    _shared_counts = path, column


async def lifespan(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Begin at once. At the end, every run stops and charges what it delivered before the process may go."""
    await receive()
    await asyncio.to_thread(ledger.keep_journal, settings.JOURNAL_DIR)
    lease = leases.Lease(ids.process_name(), locks.identity(settings.DATA_DIR))
    await asyncio.to_thread(lease.begin)
    mailer.start()
    in_flight: InFlight | None = InFlightTogether(*_shared_counts) if _shared_counts else None
    async with Runtime(in_flight) as serving, server.serving():
        cast(Any, scope).setdefault("state", {})["runtime"] = serving
        watching = [asyncio.create_task(watch(serving)) for watch in (health_checks.watch, reports.watch)]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in watching:
            task.cancel()
        await end_runs()
    await asyncio.to_thread(mailer.stop)
    await asyncio.to_thread(ledger.close)
    await asyncio.to_thread(lease.end)
    await send({"type": "lifespan.shutdown.complete"})


def leave() -> None:
    """Take no new questions on open sockets, and close each once it has told what it is telling."""
    base.leave()


def has_runs() -> bool:
    """Whether runs are under way, read or not."""
    serving = runtime.serving()
    return serving is not None and len(serving.runs) > 0


async def end_runs() -> None:
    """End every run, and return when each is charged and written down; their subscribers hear of it."""
    if serving := runtime.serving():
        await serving.runs.shut_down()
    await answers.drain()
