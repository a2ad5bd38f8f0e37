"""A bounded memory of how often something was tried lately."""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from django.conf import settings

from console import shared_attempts
from core.redis import RedisAway


@dataclass(slots=True)
class _Window:
    """Attempts since ``began`` (monotonic seconds)."""

    began: float
    attempts: int = 0


class Throttle:
    """Lets each key try ``limit`` times in any window of ``seconds``, which begins with its first attempt.

    An attempt counts before its outcome is known, so that a thousand at once are not a thousand allowed. The least
    recently tried keys are forgotten above ``remembered``. Counts are this process's own; with REDIS_URL they are all
    processes', under the ``name``, except while Redis is away.
    """

    def __init__(
        self, name: str, limit: int, seconds: float, remembered: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._limit = limit
        self._seconds = seconds
        self._remembered = remembered
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    def take(self, key: str) -> int:
        """Count an attempt and return 0; or count nothing and return the seconds until the next is allowed."""
        if settings.REDIS_URL:
            with suppress(RedisAway):
                return shared_attempts.take(self._name, key, self._limit, self._seconds)
        with self._lock:
            now = self._clock()
            window = self._windows.get(key)
            if window is None or window.began + self._seconds <= now:
                window = self._windows[key] = _Window(now)
            self._windows.move_to_end(key)
            if window.attempts >= self._limit:
                return math.ceil(window.began + self._seconds - now)
            window.attempts += 1
            if len(self._windows) > self._remembered:
                self._windows.popitem(last=False)
            return 0

    def give_back(self, key: str) -> None:
        """Take one attempt back: it turned out to be a good one."""
        if settings.REDIS_URL:
            with suppress(RedisAway):
                shared_attempts.give_back(self._name, key)
        with self._lock:
            if (window := self._windows.get(key)) and window.attempts:
                window.attempts -= 1

    def forget(self, key: str | None = None) -> None:
        """Let a key begin anew; without one, every key that this process remembers."""
        if settings.REDIS_URL and key is not None:
            with suppress(RedisAway):
                shared_attempts.forget(self._name, key)
        with self._lock:
            if key is None:
                self._windows.clear()
            else:
                self._windows.pop(key, None)
