"""The site in this very process, on a real socket: what a client on the network sees, over the test's database."""

import asyncio
import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import Any, Final

import uvicorn

from accounts.models import Team
from config.asgi import application
from config.serving.connections import Connections
from config.serving.uvicorn_http import Protocol
from credits.ledger import audit
from credits.models import Hold
from inference import runtime
from tests.patience import PATIENCE_SECONDS, until

TURNS = 5
CAPACITY: Final = 10_000


class Server:
    """uvicorn on a free loopback port, in a thread with an event loop of its own."""

    def __init__(self, *, is_plain: bool = False) -> None:
        """Start serving; returns when the port is open. A plain one has nothing of ours in its server: ASGI alone."""
        http: Any = "auto"
        if not is_plain:
            http = partial(Protocol, clients=Connections(CAPACITY, 0), exchanges=set())
        config = uvicorn.Config(
            application, host="127.0.0.1", port=0, log_level="warning", lifespan="on", ws="none", http=http
        )
        self._ready = threading.Event()
        self._server = _Uvicorn(config, self._ready)
        self._thread = threading.Thread(target=self._serve, name="site")
        self._thread.start()
        if not self._ready.wait(PATIENCE_SECONDS):
            raise RuntimeError("the site did not start")

    @property
    def url(self) -> str:
        """The site's base address, without a slash at the end."""
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.end()
        self._thread.join(PATIENCE_SECONDS)
        if self._thread.is_alive():
            raise RuntimeError("the site did not end")

    def _serve(self) -> None:
        asyncio.run(self._server.serve())


@contextmanager
def audited(*, is_plain: bool = False) -> Iterator[Server]:
    """Serve; in the end no hold is open, and every account is explained by its entries."""
    with Server(is_plain=is_plain) as server:
        yield server
        until(lambda: not Hold.objects.filter(state=Hold.State.OPEN).exists())
    for team in Team.objects.filter(account__isnull=False):
        assert audit.check(team.pk) == []


class _Uvicorn(uvicorn.Server):
    """uvicorn that says when its port is open, and ends when it is told to: by itself it looks only now and then."""

    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the port, and say so."""
        self._loop, self._is_over = asyncio.get_running_loop(), asyncio.Event()
        await super().startup(sockets)
        self._ready.set()

    async def main_loop(self) -> None:
        """Do what is to be done ten times a second, until the end."""
        for tick in itertools.count():
            if await self.on_tick(tick % 864_000):
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await self._is_over.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See out who is there; as uvicorn does it, but for the tenth of a second that it sleeps over it."""
        # Asyncio leaves a connection open that it has taken and not yet begun with when the port is closed.
        for _ in range(TURNS):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if serving := runtime.serving():
            await serving.runs.shut_down()
        await self._wait_tasks_to_complete()
        await self.lifespan.shutdown()

    def end(self) -> None:
        """End; called from another thread."""
        self.should_exit = True
        self._loop.call_soon_threadsafe(self._is_over.set)
