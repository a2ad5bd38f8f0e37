"""The two web servers behind one function: Daphne, and uvicorn for those who want more from a core."""

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from asgiref.typing import ASGI3Application
from django.conf import settings

from config.uvicorn_http import Protocol

SERVERS = ("daphne", "uvicorn")


def run(application: ASGI3Application, listener: socket.socket, server: str, on_listening: Callable[[], None]) -> None:
    """Serve on a bound socket until SIGTERM or SIGINT, then end calmly: answers under way get SHUTDOWN_SECONDS.

    ``on_listening`` is called once clients can connect. Raises RuntimeError when the application cannot start.
    """
    if server == "daphne":
        # Brings Twisted, which uvicorn does without.
        from config.daphne_server import Server

        Server(application, listener, on_listening).run()
    else:
        UvicornServer(application, listener, on_listening).run()


class UvicornServer(uvicorn.Server):
    """uvicorn on a socket that is bound already, whose process ends with exit code 0."""

    def __init__(
        self, application: ASGI3Application, listener: socket.socket, on_listening: Callable[[], None]
    ) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                interface="asgi3",
                loop="uvloop",
                http=Protocol,
                ws="websockets-sansio",
                ws_max_size=settings.MAX_BODY_BYTES,
                # One small frame per token: compressing them costs more than it saves.
                ws_per_message_deflate=False,
                lifespan="auto",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                # Whom to believe a forwarded address is for a reverse proxy's set-up to say, not for a default.
                proxy_headers=False,
                timeout_keep_alive=settings.KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=max(1, round(settings.SHUTDOWN_SECONDS)),
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
