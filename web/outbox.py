"""Sends messages to an ASGI server at once, and queues them only while the server does not take them."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, cast

from asgiref.typing import ASGISendCallable

from core.eager import run_eagerly


class Outbox:
    """What is to be sent, in order. ``is_full`` while the server waits for its client; then more only piles up here.

    ``on_full`` is called when that begins, ``on_drained`` when everything is taken, and ``on_lost`` with what is raised
    by the server for a client that is gone.
    """

    __slots__ = ("_is_sending", "_on_drained", "_on_full", "_on_lost", "_send", "_sending", "_unsent", "is_full")

    def __init__(
        self,
        send: ASGISendCallable,
        *,
        on_full: Callable[[], None],
        on_drained: Callable[[], None],
        on_lost: Callable[[BaseException], None],
    ) -> None:
        self._send: Callable[[Any], Coroutine[Any, Any, None]] = cast(Any, send)
        self._on_full, self._on_drained, self._on_lost = on_full, on_drained, on_lost
        self._unsent: deque[Any] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._is_sending = False
        self.is_full = False

    @property
    def is_empty(self) -> bool:
        """Whether the server has taken everything."""
        return not self._is_sending and not self._unsent

    def put(self, message: Any) -> None:
        """Send a message behind those that wait."""
        self._unsent.append(message)
        if not self._is_sending:
            self._send_all()

    def close(self) -> None:
        """Send nothing more."""
        self._unsent.clear()
        if self._sending:
            self._sending.cancel()

    def _send_all(self) -> None:
        while self._unsent and not self._is_sending:
            self._is_sending = True
            self._sending = run_eagerly(self._send(self._unsent.popleft()), self._sent, self._not_sent)
        if self._is_sending and not self.is_full:
            self.is_full = True
            self._on_full()

    def _sent(self, _: None) -> None:
        self._is_sending = False
        if not self._sending:
            # The server took it at once.
            return
        self._sending = None
        self._send_all()
        if not self._is_sending:
            self.is_full = False
            self._on_drained()

    def _not_sent(self, error: BaseException) -> None:
        self._is_sending, self._sending = False, None
        self._unsent.clear()
        self._on_lost(error)
