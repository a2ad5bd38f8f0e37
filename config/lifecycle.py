"""What the application does when its server starts and ends: the lifespan part of ASGI."""

import asyncio

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from django.conf import settings

from console.alerts import mailer
from core import ids, locks
from credits import ledger
from inference.concurrency import slots
from inference.routing import health_checks, reports
from inference.runs import leases, registry
from inference.transport import client
from playground import switchboard
from playground.conversations import answers
from playground.socket import base


async def lifespan(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Begin at once. At the end, every run stops and charges what it delivered before the process may go."""
    await receive()
    registry.watch()
    await asyncio.to_thread(ledger.keep_journal, settings.JOURNAL_DIR)
    lease = leases.Lease(ids.process_name(), locks.identity(settings.DATA_DIR))
    await asyncio.to_thread(lease.begin)
    mailer.start()
    probing_replicas = asyncio.create_task(health_checks.watch())
    reporting = asyncio.create_task(reports.watch())
    async with slots.shared(), switchboard.answering():
        await send({"type": "lifespan.startup.complete"})
        await receive()
        probing_replicas.cancel()
        reporting.cancel()
        await end_runs()
    await client.close()
    await asyncio.to_thread(mailer.stop)
    await asyncio.to_thread(ledger.close)
    await asyncio.to_thread(lease.end)
    await send({"type": "lifespan.shutdown.complete"})


def leave() -> None:
    """Take no new questions on open sockets, and close each once it has told what it is telling."""
    base.leave()


def has_runs() -> bool:
    """Whether runs are under way, read or not."""
    return bool(registry.under_way())


async def end_runs() -> None:
    """End every run, and return when each is charged and written down; their readers hear of it."""
    await registry.shut_down()
    await answers.drain()
