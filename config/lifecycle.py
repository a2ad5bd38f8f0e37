"""What the application does when its server starts and ends: the lifespan part of ASGI."""

import asyncio

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from django.conf import settings

from console import mailer
from credits import ledger
from inference import live, places, reports, run_ids
from inference.engines import http
from inference.routing import probing
from playground import keeper, sockets, switchboard


async def lifespan(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Begin at once. At the end, every run stops and charges what it delivered before the process may go."""
    await receive()
    if settings.REDIS_URL and not run_ids.process_name():
        # The only web process of its machine; those of others need a name to ask it by.
        run_ids.name_process(run_ids.new_name())
    live.watch()
    mailer.start()
    probing_replicas = asyncio.create_task(probing.watch())
    reporting = asyncio.create_task(reports.watch())
    async with places.shared(), switchboard.answering():
        await send({"type": "lifespan.startup.complete"})
        await receive()
        probing_replicas.cancel()
        reporting.cancel()
        await end_runs()
    await http.close()
    await asyncio.to_thread(mailer.stop)
    await asyncio.to_thread(ledger.close)
    await send({"type": "lifespan.shutdown.complete"})


def leave() -> None:
    """Take no new questions on open sockets, and close each once it has told what it is telling."""
    sockets.leave()


def has_runs() -> bool:
    """Whether runs are under way, read or not."""
    return bool(live.under_way())


async def end_runs() -> None:
    """End every run, and return when each is charged and written down; their readers hear of it."""
    await live.shut_down()
    await keeper.drain()
