"""Places: what a request, or a browser's socket, takes while it lives, of those that its project and person have.

They are counted on this machine (``inference.concurrency.local``) and, with REDIS_URL, over every process of every
machine. While Redis is away the machine's own counts decide, which are kept for that.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from django.conf import settings

from core.redis import RedisAway
from inference.concurrency.local import Holder, InFlight

if TYPE_CHECKING:
    from inference.concurrency.redis_slots import RedisPlaces

NO_LIMIT: Final = 1 << 40

_everywhere: "RedisPlaces | None" = None


class Place:
    """One place of each of its holders; ``here`` are the counts of this machine, or of this process."""

    __slots__ = ("here", "holders")

    def __init__(self, holders: Sequence[Holder], here: InFlight) -> None:
        self.holders = holders
        self.here = here

    async def take(self, limits: Sequence[int]) -> int | None:
        """Take it; if one of the holders is at its limit, take nothing, and return which it is.

        Waits for nothing but Redis, and for that REDIS_SECONDS at most.
        """
        everywhere = _everywhere
        if everywhere is None:
            return self.here.take(self.holders, limits)
        try:
            at_limit = await everywhere.take(self, limits)
        except RedisAway:
            at_limit = self.here.take(self.holders, limits)
            if at_limit is None:
                everywhere.add(self)
        else:
            if at_limit is None:
                self.here.take(self.holders, [NO_LIMIT] * len(self.holders))
        return at_limit

    def give_back(self) -> None:
        """Let another have it."""
        self.here.give_back(self.holders)
        if _everywhere is not None:
            _everywhere.give_back(self)


@asynccontextmanager
async def shared() -> AsyncIterator[None]:
    """Count over all machines meanwhile, if there is a REDIS_URL; for a process from its start to its end."""
    global _everywhere  # noqa: PLW0603
    if not settings.REDIS_URL:
        yield
        return
    from inference.concurrency.redis_slots import RedisPlaces

    async with RedisPlaces() as _everywhere:
        try:
            yield
        finally:
            _everywhere = None
