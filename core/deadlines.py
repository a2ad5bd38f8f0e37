"""Deadlines as numbers that are looked at twice a second: a timer for each wait costs more than what it watches."""

import asyncio
import logging
from typing import Final, Protocol

logger = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 0.5


class Watched(Protocol):
    """Something that may be late."""

    def check_deadline(self, now: float) -> None:
        """Act if the deadline has passed, by the loop's clock."""


class Deadlines:
    """All that is watched on one event loop; while nothing is, nothing is done."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watched: dict[Watched, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, each: Watched, within: float = SWEEP_SECONDS) -> None:
        """Check something from now on; for the first time within so many seconds, if those are fewer than a sweep's."""
        self._watched[each] = None
        due_at = self._loop.time() + min(within, SWEEP_SECONDS)
        if self._timer is None or self._timer.when() > due_at:
            if self._timer:
                self._timer.cancel()
            self._timer = self._loop.call_at(due_at, self._sweep)

    def forget(self, each: Watched) -> None:
        """Check it no more; one that was not watched is no error."""
        self._watched.pop(each, None)

    def _sweep(self) -> None:
        now = self._loop.time()
        self._timer = self._loop.call_at(now + SWEEP_SECONDS, self._sweep) if self._watched else None
        for each in tuple(self._watched):
            try:
                each.check_deadline(now)
            except Exception:
                logger.exception("a deadline could not be kept")
