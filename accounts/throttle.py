"""How often something was tried lately, counted in Django's cache: in Redis, or in this process's memory."""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeVar

from django.conf import settings
from django.core.cache import BaseCache, caches

from core.clock import timestamp
from core.redis import RedisAway, asking

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Throttle:
    """Lets each key try ``limit`` times in any window of ``seconds``, which begins with its first attempt.

    An attempt counts before its outcome is known, so that a thousand at once are not a thousand allowed. While Redis is
    away each process counts for itself.
    """

    name: str
    limit: int
    seconds: int

    def take(self, key: str) -> int:
        """Count an attempt. Return 0, or the seconds until the next is allowed."""
        return self._in_cache(lambda cache: self._take(cache, self._cache_key(key)))

    def give_back(self, key: str) -> None:
        """Take one attempt back: it turned out to be a good one."""
        name = self._cache_key(key)

        def give_back(cache: BaseCache) -> None:
            with suppress(ValueError):  # its window has ended
                cache.decr(name)

        self._in_cache(give_back)

    def forget(self, key: str) -> None:
        """Let a key begin anew."""
        name = self._cache_key(key)
        self._in_cache(lambda cache: cache.delete_many([name, _end(name)]))

    def _take(self, cache: BaseCache, name: str) -> int:
        now = timestamp()
        if cache.add(name, 0, self.seconds):
            cache.set(_end(name), now + self.seconds, self.seconds)
        try:
            attempts = cache.incr(name)
        except ValueError:  # the window ended between the two steps
            return 0
        if attempts <= self.limit:
            return 0
        with suppress(ValueError):
            cache.decr(name)  # an attempt that was refused is not held against the next one
        ends_at: float = cache.get(_end(name), now)
        return min(max(math.ceil(ends_at - now), 1), self.seconds)

    def _in_cache(self, work: Callable[[BaseCache], T]) -> T:
        if settings.REDIS_URL:
            with suppress(RedisAway), asking():
                return work(caches["default"])
        return work(caches["local"])

    def _cache_key(self, key: str) -> str:
        """Return the name in the cache, where nobody reads what somebody typed."""
        return f"attempts:{self.name}:{sha256(key.encode(errors='backslashreplace')).hexdigest()}"


def _end(name: str) -> str:
    return f"{name}:end"
