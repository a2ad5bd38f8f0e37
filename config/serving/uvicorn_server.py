"""uvicorn, on a socket that is bound already, and with an end in which nobody's answer just breaks off."""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, cast

import uvicorn
from asgiref.typing import ASGI3Application
from django.conf import settings

from config.serving import sockets
from config.serving.connections import Connections
from config.serving.shutdown import Draining
from config.serving.uvicorn_direct import DirectExchange
from config.serving.uvicorn_http import Protocol
from config.serving.uvicorn_websocket import WebSocket


class Server(Draining, uvicorn.Server):
    """uvicorn's server, whose process ends with exit code 0."""

    def __init__(
        self, application: ASGI3Application, listener: socket.socket, on_listening: Callable[[], None]
    ) -> None:
        self.clients = Connections(sockets.most_connections(), settings.CONNECTIONS_PER_ADDRESS)
        self.exchanges: set[DirectExchange] = set()
        super().__init__(
            uvicorn.Config(
                application,
                interface="asgi3",
                loop="uvloop",
                http=cast(Any, partial(Protocol, clients=self.clients, exchanges=self.exchanges)),
                ws=cast(Any, partial(WebSocket, clients=self.clients)),
                ws_max_size=settings.MAX_BODY_BYTES,
                # One small frame per token: compressing them costs more than it saves.
                ws_per_message_deflate=False,
                lifespan="auto",
                log_config=None,
                # Its warnings are about what any client can send.
                log_level="error",
                access_log=False,
                server_header=False,
                # Whom to believe a forwarded address is for a reverse proxy's set-up to say, not for a default.
                proxy_headers=False,
                timeout_keep_alive=settings.KEEP_ALIVE_SECONDS,
                # What comes before is ``drain``.
                timeout_graceful_shutdown=1,
            )
        )
        self._listener = listener
        self._on_listening = on_listening

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop."""
        super().run([self._listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self.lifespan.should_exit:
            raise RuntimeError("The application could not start.")
        self._on_listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nothing new, drain what is under way, and tell the application of the end."""
        for server in self.servers:
            server.close()
        await self.drain()
        async with self.cleaning_up():
            await super().shutdown(sockets)

    def is_busy(self) -> bool:
        """Whether a request is under way, or a run."""
        return bool(self.exchanges) or super().is_busy()

    def running(self) -> set[asyncio.Task[None]]:
        """Return the application's tasks."""
        return set(self.server_state.tasks)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to shut down; SIGINT, when that has begun, takes the patience away."""
        self.is_hurried |= self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT for the time of serving; uvicorn itself would die of them afterwards."""
        before: dict[signal.Signals, Any] = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
