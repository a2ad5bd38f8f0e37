"""Whether a replica is called: closed while it works, open after it failed, half-open while one request tries it.

Half-open lets one request through, and what becomes of it decides.
"""

import time
from enum import IntEnum
from typing import Final

# Failures in a row that open it, of a replica that does answer, but badly: before the first token without a first token
# in between, or behind it without a whole answer in between.
FAILURE_THRESHOLD: Final = 3
# How long it stays open, at first; that doubles each time up to the longest, so a replica is tried again in time.
RECOVERY_SECONDS: Final = 2.0
MAX_RECOVERY_SECONDS: Final = 16.0


class CircuitState(IntEnum):
    """From best to worst."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class CircuitBreaker:
    """The breaker of one replica."""

    __slots__ = (
        "_breaks",
        "_failures",
        "_is_absent",
        "_is_unwell",
        "_open_until",
        "_openings",
        "_trial",
        "_trials",
    )

    def __init__(self) -> None:
        self._failures = 0
        self._breaks = 0
        self._openings = 0
        self._open_until: float | None = None
        self._trials = 0
        # The number of the trial that is under way.
        self._trial: int | None = None
        self._is_unwell = False
        # It opened because the replica was not there, not because it answers badly.
        self._is_absent = False

    @property
    def state(self) -> CircuitState:
        """How it is now."""
        if self._open_until is None:
            return CircuitState.CLOSED
        return CircuitState.HALF_OPEN if self._trial is not None or self.allows_request else CircuitState.OPEN

    @property
    def open_seconds(self) -> float:
        """For how long it stays open."""
        return max(0.0, self._open_until - time.monotonic()) if self._open_until is not None else 0.0

    @property
    def allows_request(self) -> bool:
        """Whether a request may go now; the one that goes calls ``begin_request``."""
        if self._open_until is None:
            return True
        return time.monotonic() >= self._open_until and self._trial is None and not self._is_unwell

    def begin_request(self) -> int | None:
        """Note that a request goes; while the breaker is not closed it is the trial, whose number is returned."""
        if self._open_until is None:
            return None
        self._trials += 1
        self._trial = self._trials
        return self._trial

    def end_trial(self, trial: int) -> None:
        """Note that a trial is over; if nothing came of it, another one may begin."""
        if self._trial == trial:
            self._trial = None

    def record_first_token(self) -> None:
        """Close it: the replica begins to answer."""
        self._failures = 0
        self._open_until, self._trial, self._is_unwell = None, None, False

    def record_success(self) -> None:
        """Forget the past: the replica gave a whole answer."""
        self._breaks = self._openings = 0

    def record_failure(self, *, has_begun: bool = False, is_absent: bool = False) -> None:
        """Count a failure, before the first token or behind it; that of one ``is_absent`` leaves no doubt."""
        if has_begun:
            self._breaks += 1
            if self._breaks >= FAILURE_THRESHOLD:
                self._open(is_absent=False)
            return
        self._failures += 1
        if is_absent or self._trial is not None or self._failures >= FAILURE_THRESHOLD:
            self._open(is_absent=is_absent)

    def record_health_check(self, *, is_well: bool) -> None:
        """Note what the replica says of itself.

        While it does not say that it is well nobody tries it: whoever did would wait in vain. Once it does, one that
        was absent is tried at once.
        """
        self._is_unwell = not is_well
        if is_well:
            if self._is_absent and self._open_until is not None:
                self._open_until = min(self._open_until, time.monotonic())
            return
        self._is_absent = True
        if self._open_until is None:
            self._open(is_absent=True)

    def _open(self, *, is_absent: bool) -> None:
        if self._open_until is not None and self._trial is None:
            # One of those who were there already when it was opened: they all fail together.
            return
        self._is_absent = is_absent
        seconds = min(MAX_RECOVERY_SECONDS, RECOVERY_SECONDS * 2**self._openings)
        self._openings += 1
        self._failures, self._trial = 0, None
        self._open_until = time.monotonic() + seconds
