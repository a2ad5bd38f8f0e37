"""How long a test waits on a machine that is busy with other things, or stands still for a moment.

What must come may take ``PATIENCE_SECONDS``. What was promised within a second is given a second of the time in which
this process was let to run: while the tests were held up, so may have been what they wait for.
"""

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

# For what has no deadline of its own.
PATIENCE_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.01
# Whatever passed beyond this from one look to the next was taken by others.
MOST_SECONDS: Final = 0.03


class Clock:
    """Counts, from look to look, the ``seconds`` in which this process ran."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._looked_at = time.monotonic()

    def look(self) -> float:
        """Return the seconds so far."""
        now = time.monotonic()
        self.seconds += min(now - self._looked_at, MOST_SECONDS)
        self._looked_at = now
        return self.seconds


def within(seconds: float, condition: Callable[[], object]) -> None:
    """Wait until the condition holds, for a promised time. Raises AssertionError when that is over."""
    clock = Clock()
    while not condition():
        assert clock.look() < seconds, f"did not come about within {seconds} seconds"
        time.sleep(LOOK_SECONDS)


def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds, patiently."""
    within(PATIENCE_SECONDS, condition)


async def eventually(condition: Callable[[], object | Awaitable[object]], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait as ``until`` does, or for a promised time as ``within`` does, while the event loop goes on.

    The condition may be a coroutine function.
    """
    clock = Clock()
    while True:
        holds = condition()
        if await holds if inspect.isawaitable(holds) else holds:
            return
        assert clock.look() < seconds, f"did not come about within {seconds} seconds"
        await asyncio.sleep(LOOK_SECONDS)


class Stopwatch:
    """Measures what a block takes, as promises are measured: ``seconds`` tells at its end."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._count, name="stopwatch")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _count(self) -> None:
        clock = Clock()
        while not self._ended.wait(LOOK_SECONDS):
            self.seconds = clock.look()
