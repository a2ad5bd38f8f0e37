"""One socket, whatever is said on it: frames out within a bound, and tasks that end when it does."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any

import msgspec
from channels.generic.websocket import AsyncWebsocketConsumer

from inference import metrics
from inference.runtime import Runtime
from web.outbox import Outbox

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
    must be given back at the end. A browser that takes nothing for READER_SECONDS is cut.
    """

    runtime: Runtime

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Live until the socket closes or is cut; whatever was started for it ends with it."""
        self._life = asyncio.current_task()
        self._is_cut = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.runtime = Runtime.of(scope)
        self._outbox = Outbox(send, on_full=self._full, on_drained=self._drained, on_lost=self._lost)
        self._has_drained = asyncio.Event()
        self._has_drained.set()
        self._unread_deadline = 0.0
        try:
            with ExitStack() as self.until_closed:
                _open.add(self)
                self.until_closed.callback(_open.discard, self)
                await super().__call__(scope, receive, send)
        except asyncio.CancelledError:
            if not self._is_cut:
                raise
        finally:
            self.runtime.deadlines.forget(self)
            self._outbox.close()
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
        """Send one frame, once the browser has taken what came before."""
        await self._has_drained.wait()
        self.put(msgspec.json.encode(frame))

    def put(self, frame: bytes) -> bool:
        """Send one encoded frame now; whether more can be taken. What cannot waits in memory."""
        self._outbox.put({"type": "websocket.send", "text": frame.decode()})
        return not self._outbox.is_full

    def caught_up(self) -> None:
        """The browser has taken everything, after more had waited than the server wants to keep."""

    def check_deadline(self, now: float) -> None:
        """Cut the socket of a browser that does not read, without a last frame: that would wait behind all others."""
        if now >= self._unread_deadline and not self._is_cut:
            self._is_cut = True
            metrics.reader_cut("browser")
            if self._life:
                self._life.cancel()

    def _full(self) -> None:
        self._has_drained.clear()
        seconds = self.runtime.limits.reader_seconds
        self._unread_deadline = self.runtime.loop.time() + seconds
        self.runtime.deadlines.watch(self, within=seconds)

    def _drained(self) -> None:
        self._has_drained.set()
        self.runtime.deadlines.forget(self)
        self.caught_up()

    def _lost(self, error: BaseException) -> None:
        if not isinstance(error, (asyncio.CancelledError, OSError)):
            logger.error("a frame could not be sent", exc_info=error)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, OSError):
            logger.error("a task of a socket broke down", exc_info=error)
