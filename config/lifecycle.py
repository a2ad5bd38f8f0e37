"""What the application does when its server starts and ends: the lifespan part of ASGI."""

import asyncio

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, Scope

from console import mailer
from credits import ledger
from inference import live, reports
from inference.engines import http
from inference.routing import probing
from playground import keeper, switchboard


async def lifespan(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Begin at once. At the end, every run stops and charges what it delivered before the process may go."""
    await receive()
    live.watch()
    mailer.start()
    probing_replicas = asyncio.create_task(probing.watch())
    reporting = asyncio.create_task(reports.watch())
    async with switchboard.answering():
        await send({"type": "lifespan.startup.complete"})
        await receive()
        probing_replicas.cancel()
        reporting.cancel()
        await live.shut_down()
        await keeper.drain()
    await http.close()
    await asyncio.to_thread(mailer.stop)
    await asyncio.to_thread(ledger.close)
    await send({"type": "lifespan.shutdown.complete"})
