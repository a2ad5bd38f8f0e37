"""How quickly the requests of a project or a user end in this process: from that, when another one may be tried."""

import math
import time
from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Final

# From so many of the latest requests the wait is estimated.
ENDED_REMEMBERED: Final = 32
# Of so many projects and users, the latest.
MAX_REMEMBERED: Final = 4_096


class Turnover:
    """The requests of one project or one user, as this process sees them."""

    def __init__(self) -> None:
        # When each that runs began, the oldest first.
        self._running: dict[int, float] = {}
        self._number = 0
        self._seconds: deque[float] = deque(maxlen=ENDED_REMEMBERED)
        self._last_end = -math.inf

    def begin(self) -> int:
        """Note a request, and return the number to ``end`` it by."""
        self._number += 1
        self._running[self._number] = time.monotonic()
        return self._number

    def end(self, number: int) -> None:
        """Note that a request ended."""
        self._last_end = time.monotonic()
        self._seconds.append(self._last_end - self._running.pop(number))

    def retry_after_seconds(self, limit: int) -> int:
        """Estimate, in whole seconds, when one of ``limit`` requests in flight will have ended.

        As many as may run end in the time that one takes. Where nothing has ended for longer than that, it may well
        take as long again.
        """
        share = sum(self._seconds) / len(self._seconds) / max(1, limit) if self._seconds else 0.0
        now = time.monotonic()
        oldest = next(iter(self._running.values()), now)
        return max(1, math.ceil(max(share, now - max(oldest, self._last_end))))


_turnovers: OrderedDict[Hashable, Turnover] = OrderedDict()


def turnover_of(holder: Hashable) -> Turnover:
    """Return the turnover of a project or a user; that of one who has not called for long may be forgotten."""
    turnover = _turnovers.get(holder)
    if turnover is None:
        turnover = _turnovers[holder] = Turnover()
        if len(_turnovers) > MAX_REMEMBERED:
            _turnovers.popitem(last=False)
    else:
        _turnovers.move_to_end(holder)
    return turnover
