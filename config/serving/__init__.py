"""The two web servers behind one function: Daphne, and uvicorn for those who want more from a core."""

import socket
from collections.abc import Callable
from importlib import import_module
from typing import Any

from asgiref.typing import ASGI3Application

from config.serving import sockets

SERVERS = ("daphne", "uvicorn")


def run(application: ASGI3Application, listener: socket.socket, server: str, on_listening: Callable[[], None]) -> None:
    """Serve on a bound socket until SIGTERM or SIGINT, then end calmly: answers under way get SHUTDOWN_SECONDS.

    ``on_listening`` is called once clients can connect. Raises RuntimeError when the application cannot start.
    """
    sockets.raise_limit()
    sockets.notice_vanished_clients(listener)
    load(server).Server(application, listener, on_listening).run()


def load(server: str) -> Any:
    """Return a server's module; late, since each brings what the other does without."""
    return import_module(f"config.serving.{server}_server")
