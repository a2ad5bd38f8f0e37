"""Whether a replica is trusted: closed while it works, open after it failed, half-open while one request tries it."""

import time
from typing import Final

# Failures in a row until a replica that does answer, but badly, is left alone.
FAILURES_BORNE: Final = 3
# For how long, at first; it doubles each time up to the longest, so a replica is tried again in time.
SHORTEST_SECONDS: Final = 2.0
LONGEST_SECONDS: Final = 16.0


class Circuit:
    """The breaker of one replica. Half-open lets one request through, and its outcome decides."""

    def __init__(self) -> None:
        self.last_error = ""
        self._failures = 0
        self._openings = 0
        self._open_until: float | None = None
        self._is_tried = False

    @property
    def is_closed(self) -> bool:
        """Whether it is trusted."""
        return self._open_until is None

    @property
    def lets_through(self) -> bool:
        """Whether a request may go now; the one that goes calls ``attempt``."""
        return self._open_until is None or (time.monotonic() >= self._open_until and not self._is_tried)

    def attempt(self) -> None:
        """Note that a request goes; while it is open, this is the trial."""
        self._is_tried = self._open_until is not None

    def give_up(self) -> None:
        """Note that a request ended before it could prove anything."""
        self._is_tried = False

    def succeed(self) -> None:
        """Trust it again: it answered."""
        self._failures = self._openings = 0
        self._open_until, self._is_tried = None, False

    def fail(self, error: Exception, *, at_once: bool) -> None:
        """Note a failure; ``at_once`` for one that leaves no doubt, such as a refused connection."""
        self.last_error = f"{type(error).__name__}: {error}"
        self._failures += 1
        if at_once or self._is_tried or self._failures >= FAILURES_BORNE:
            self._open()

    def invite(self) -> None:
        """Allow the trial now: the replica says that it is well."""
        if self._open_until is not None:
            self._open_until = min(self._open_until, time.monotonic())

    def _open(self) -> None:
        seconds = min(LONGEST_SECONDS, SHORTEST_SECONDS * 2**self._openings)
        self._openings += 1
        self._failures, self._is_tried = 0, False
        self._open_until = time.monotonic() + seconds
