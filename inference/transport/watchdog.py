"""A limit on waiting that costs next to nothing per token."""

import asyncio
import math
from collections.abc import Callable
from types import TracebackType


class Watchdog:
    """Calls ``expire`` once when a wait lasts too long.

    One timer looks at a deadline that moves, so a stream of many short waits sets a timer only now and then.
    """

    def __init__(self, expire: Callable[[], None]) -> None:
        self._expire = expire
        self._loop = asyncio.get_running_loop()
        self._deadline = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> "Watchdog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer:
            self._timer.cancel()

    def wait(self, seconds: float) -> None:
        """Begin a wait of at most ``seconds``."""
        self._deadline = self._loop.time() + seconds
        if self._timer and self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = None
        if not self._timer:
            self._timer = self._loop.call_at(self._deadline, self._look)

    def rest(self) -> None:
        """End the wait: until the next one, time does not count."""
        self._deadline = math.inf

    def _look(self) -> None:
        self._timer = None
        if self._deadline <= self._loop.time():
            self._expire()
        elif self._deadline < math.inf:
            self._timer = self._loop.call_at(self._deadline, self._look)
