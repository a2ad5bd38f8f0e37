"""Whether a replica is trusted: closed while it works, open after it failed, half-open while one request tries it."""

import time
from enum import IntEnum
from typing import Final

# Failures in a row until a replica that does answer, but badly, is left alone.
FAILURES_BORNE: Final = 3
# For how long, at first; it doubles each time up to the longest, so a replica is tried again in time.
SHORTEST_SECONDS: Final = 2.0
LONGEST_SECONDS: Final = 16.0


class CircuitState(IntEnum):
    """How far a replica is trusted, from best to worst."""

    TRUSTED = 0
    # One request tries it, and nobody else is sent there.
    TRIED = 1
    # The next request that comes by tries it.
    DUE = 2
    LEFT_ALONE = 3


class Circuit:
    """The breaker of one replica. Half-open lets one request through, and its outcome decides."""

    def __init__(self) -> None:
        self._failures = 0
        self._openings = 0
        self._open_until: float | None = None
        self._is_tried = False
        self._is_silent = False

    @property
    def state(self) -> CircuitState:
        """How far it is trusted now."""
        if self._open_until is None:
            return CircuitState.TRUSTED
        if self._is_tried:
            return CircuitState.TRIED
        return CircuitState.DUE if self.lets_through else CircuitState.LEFT_ALONE

    @property
    def left_alone_seconds(self) -> float:
        """For how long it is still left alone."""
        return max(0.0, self._open_until - time.monotonic()) if self._open_until is not None else 0.0

    @property
    def lets_through(self) -> bool:
        """Whether a request may go now; the one that goes calls ``attempt``."""
        if self._open_until is None:
            return True
        return time.monotonic() >= self._open_until and not self._is_tried and not self._is_silent

    def attempt(self) -> None:
        """Note that a request goes; while it is open, this is the trial."""
        self._is_tried = self._open_until is not None

    def give_up(self) -> None:
        """Note that a request ended before it could prove anything."""
        self._is_tried = False

    def succeed(self) -> None:
        """Trust it again: it answered."""
        self._failures = self._openings = 0
        self._open_until, self._is_tried, self._is_silent = None, False, False

    def fail(self, *, at_once: bool) -> None:
        """Note a failure; ``at_once`` for one that leaves no doubt, such as a refused connection."""
        self._failures += 1
        if at_once or self._is_tried or self._failures >= FAILURES_BORNE:
            self._open()

    def fall_silent(self) -> None:
        """Let nobody try it until it says that it is well: whoever tried would wait in vain."""
        self._is_silent = True
        if self._open_until is None:
            self._open()

    def invite(self) -> None:
        """Allow the trial now: the replica says that it is well."""
        self._is_silent = False
        if self._open_until is not None:
            self._open_until = min(self._open_until, time.monotonic())

    def _open(self) -> None:
        seconds = min(LONGEST_SECONDS, SHORTEST_SECONDS * 2**self._openings)
        self._openings += 1
        self._failures, self._is_tried = 0, False
        self._open_until = time.monotonic() + seconds
