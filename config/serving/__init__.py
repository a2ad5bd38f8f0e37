"""The two web servers behind one function: Daphne, and uvicorn for those who want more from a core."""

import socket
from collections.abc import Callable

from asgiref.typing import ASGI3Application

from config.serving import sockets

SERVERS = ("daphne", "uvicorn")


def run(application: ASGI3Application, listener: socket.socket, server: str, on_listening: Callable[[], None]) -> None:
    """Serve on a bound socket until SIGTERM or SIGINT, then end calmly: answers under way get SHUTDOWN_SECONDS.

    ``on_listening`` is called once clients can connect. Raises RuntimeError when the application cannot start.
    """
    sockets.raise_limit()
    sockets.notice_vanished_clients(listener)
    # Late: each brings what the other does without.
    if server == "daphne":
        from config.serving import daphne_server

        daphne_server.Server(application, listener, on_listening).run()
    else:
        from config.serving import uvicorn_server

        uvicorn_server.Server(application, listener, on_listening).run()
