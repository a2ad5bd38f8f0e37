"""One socket, whatever is said on it: frames out within a bound, and tasks that end when it does."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any

import msgspec
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings

from inference import metrics
from inference.runs.spine import ReaderTooSlow

logger = logging.getLogger(__name__)

SOCKET_PATH = "/ws/playground"
# The server ends: come back later.
CLOSED_BY_RESTART = 1012

_open: set["Socket"] = set()


def leave() -> None:
    """Have every open socket closed, each once ``finished`` returns; for a process that ends."""
    for socket in tuple(_open):
        socket.leave()


class Socket(AsyncWebsocketConsumer):
    """Base of consumers whose work outlives the handling of a frame.

    Handlers start tasks with ``begin`` and return, so that the next frame is heard. ``until_closed`` takes whatever
    must be given back at the end.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Live until the socket closes or is cut; whatever was started for it ends with it."""
        self._life = asyncio.current_task()
        self._is_cut = False
        self._tasks: set[asyncio.Task[None]] = set()
        try:
            with ExitStack() as self.until_closed:
                _open.add(self)
                self.until_closed.callback(_open.discard, self)
                await super().__call__(scope, receive, send)
        except asyncio.CancelledError:
            if not self._is_cut:
                raise
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def begin(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Start a task that ends with the socket."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def leave(self) -> None:
        """Close once nothing is under way, so that whoever is there comes back to another process."""
        self.begin(self._leave())

    async def finished(self) -> None:
        """Return when nothing is under way that should be told to its end."""

    async def _leave(self) -> None:
        await self.finished()
        await self.close(CLOSED_BY_RESTART)

    async def close(self, code: int | bool | None = None, reason: str | None = None) -> None:
        """Close the socket, once nothing that was started for it can say anything more."""
        others = self._tasks - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await super().close(code, reason)

    async def tell(self, frame: dict[str, Any]) -> None:
        """Send one frame. Raises ReaderTooSlow for whoever takes nothing for READER_SECONDS, and cuts the socket."""
        try:
            async with asyncio.timeout(settings.READER_SECONDS):
                await self.send(text_data=msgspec.json.encode(frame).decode())
        except TimeoutError:
            # Without a farewell, which would wait behind everything that was not taken.
            self._is_cut = True
            metrics.reader_cut("browser")
            if self._life:
                self._life.cancel()
            raise ReaderTooSlow from None

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, (ReaderTooSlow, OSError)):
            logger.error("a task of a socket broke down", exc_info=error)
