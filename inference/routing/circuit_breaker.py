"""Whether a replica is trusted: closed while it works, open after it failed, half-open while one request tries it."""

import time
from enum import IntEnum
from typing import Final

# Failures in a row until a replica that does answer, but badly, is left alone: before the first token without a first
# token in between, or behind it without a whole answer in between.
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
        self._breaks = 0
        self._openings = 0
        self._open_until: float | None = None
        self._trials = 0
        # The number of the trial that is under way.
        self._trial: int | None = None
        self._is_silent = False
        # It was left alone because it was not there, not because it answers badly.
        self._is_away = False

    @property
    def state(self) -> CircuitState:
        """How far it is trusted now."""
        if self._open_until is None:
            return CircuitState.TRUSTED
        if self._trial is not None:
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
        return time.monotonic() >= self._open_until and self._trial is None and not self._is_silent

    def attempt(self) -> int | None:
        """Note that a request goes; while it is open, this is the trial, whose number is returned."""
        if self._open_until is None:
            return None
        self._trials += 1
        self._trial = self._trials
        return self._trial

    def give_up(self, trial: int) -> None:
        """Note that a trial ended; if it was still to prove something, another one may."""
        if self._trial == trial:
            self._trial = None

    def begin(self) -> None:
        """Trust it again: it begins to answer."""
        self._failures = 0
        self._open_until, self._trial, self._is_silent = None, None, False

    def succeed(self) -> None:
        """Forget its past: it gave a whole answer."""
        self._breaks = self._openings = 0

    def break_off(self) -> None:
        """Note that an answer broke off."""
        self._breaks += 1
        if self._breaks >= FAILURES_BORNE:
            self._open(is_away=False)

    def fail(self, *, at_once: bool) -> None:
        """Note a failure; ``at_once`` for one that leaves no doubt, such as a refused connection."""
        self._failures += 1
        if at_once or self._trial is not None or self._failures >= FAILURES_BORNE:
            self._open(is_away=at_once)

    def fall_silent(self) -> None:
        """Let nobody try it until it says that it is well: whoever tried would wait in vain."""
        self._is_silent = True
        self._is_away = True
        if self._open_until is None:
            self._open(is_away=True)

    def invite(self) -> None:
        """Note that the replica says that it is well: if it was away, the trial is allowed now."""
        self._is_silent = False
        if self._is_away and self._open_until is not None:
            self._open_until = min(self._open_until, time.monotonic())

    def _open(self, *, is_away: bool) -> None:
        if self._open_until is not None and self._trial is None:
            # One of those who were there already when it was opened: they all fail together.
            return
        self._is_away = is_away
        seconds = min(LONGEST_SECONDS, SHORTEST_SECONDS * 2**self._openings)
        self._openings += 1
        self._failures, self._trial = 0, None
        self._open_until = time.monotonic() + seconds
