"""Estimates when to try again from how quickly the requests of a project or a user end in this process."""

import math
import time
from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Final

# From so many of the latest requests the wait is estimated.
ENDED_REMEMBERED: Final = 32
# So many of the requests in flight stand for all of them.
RUNNING_SAMPLED: Final = 16
# Where so many are expected to have ended, it is more likely than not that one has: a half would do for one request,
# the logarithm of two for many.
ENDED_LIKELY: Final = 0.7
# Of so many projects and users, the latest.
MAX_REMEMBERED: Final = 4_096


class Turnover:
    """The requests of one project or one user, as this process sees them."""

    def __init__(self) -> None:
        # When each that runs began, the oldest first.
        self._running: dict[int, float] = {}
        self._number = 0
        self._seconds: deque[float] = deque(maxlen=ENDED_REMEMBERED)

    def begin(self) -> int:
        """Note a request, and return the number to ``end`` it by."""
        self._number += 1
        self._running[self._number] = time.monotonic()
        return self._number

    def end(self, number: int) -> None:
        """Note that a request ended."""
        self._seconds.append(time.monotonic() - self._running.pop(number))

    def retry_after_seconds(self, limit: int) -> int:
        """Estimate, in whole seconds, when one of ``limit`` requests in flight will more likely than not have ended.

        Each takes as long as one of the latest that took longer than it has taken so far, or as long again where none
        did. Those of other processes are taken to be like those of this one.
        """
        now = time.monotonic()
        ages = [now - began for began in self._running.values()] or [0.0]
        ages = ages[:: math.ceil(len(ages) / RUNNING_SAMPLED)]
        remaining: list[tuple[float, float]] = []
        for age in ages:
            seconds = [each - age for each in self._seconds if each > age] or [age]
            remaining += [(each, limit / len(ages) / len(seconds)) for each in seconds]
        ended = 0.0
        for seconds_left, share in sorted(remaining):
            ended += share
            if ended >= ENDED_LIKELY:
                return max(1, math.ceil(seconds_left))
        return 1


class Turnovers:
    """The turnover of each project and user; that of one who has not called for long may be forgotten."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, Turnover] = OrderedDict()

    def of(self, holder: Hashable) -> Turnover:
        """Return the turnover of a project or a user."""
        turnover = self._known.get(holder)
        if turnover is None:
            turnover = self._known[holder] = Turnover()
            if len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(holder)
        return turnover
