"""The time of day as this process believes it: the wall clock, which may drift but not jump.

A wall clock that is suddenly elsewhere, by a mistaken time server or a hand, would end every key and session at once,
or put a price in force into the future. Time goes on here at the pace of the machine's own uptime; another wall time is
believed once it has held for ``BELIEVED_SECONDS``.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

logger = logging.getLogger(__name__)

# What differs by less is a clock that is being set right, little by little.
JUMP_SECONDS: Final = 2.0
BELIEVED_SECONDS: Final = 900.0


def _uptime() -> float:
    """Return seconds since the machine started, those in which it slept included where the system counts them."""
    boot_clock: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot_clock is None else time.clock_gettime(boot_clock)


class SteadyClock:
    """Seconds since 1970 by ``wall``, at the pace of ``uptime``."""

    def __init__(self, wall: Callable[[], float] = time.time, uptime: Callable[[], float] = _uptime) -> None:
        self._wall, self._uptime = wall, uptime
        self._offset = wall() - uptime()
        self._jumped_at: float | None = None

    def __call__(self) -> float:
        """Return the time. Two threads that ask at once may both take in the same drift, which does no harm."""
        uptime, wall = self._uptime(), self._wall()
        believed = uptime + self._offset
        jump = wall - believed
        if abs(jump) < JUMP_SECONDS or self._is_believed(jump, uptime):
            self._offset, self._jumped_at = wall - uptime, None
            return wall
        return believed

    def _is_believed(self, jump: float, uptime: float) -> bool:
        """Note when the wall clock jumped; tell whether that is long enough ago."""
        if self._jumped_at is None:
            self._jumped_at = uptime
            minutes = BELIEVED_SECONDS / 60
            logger.warning("The clock jumped by %+.1f s: this is ignored unless it lasts for %g minutes", jump, minutes)
        return uptime - self._jumped_at >= BELIEVED_SECONDS


# Seconds since 1970; one clock for the process, so that all its parts agree.
timestamp: Final = SteadyClock()


def now() -> datetime:
    """Return the time in UTC."""
    return datetime.fromtimestamp(timestamp(), UTC)


def latest() -> datetime:
    """Return the later of this clock's time and the wall's, for what another process wrote by the wall clock."""
    return datetime.fromtimestamp(max(timestamp(), time.time()), UTC)
