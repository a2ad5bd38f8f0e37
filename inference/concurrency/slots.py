"""Slots: what a request, or a browser's socket, takes while it lives, of those that its project and person have.

They are counted on this machine (``inference.concurrency.local``) and, with REDIS_URL, over every process of every
machine. While Redis is away the machine's own counts decide, which are kept for that.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from core.redis import RedisAway
from inference.concurrency.local import Holder, InFlight

NO_LIMIT: Final = 1 << 40


class SlotsEverywhere(Protocol):
    """Slots that are counted over all processes of all machines."""

    async def take(self, slot: "Slot", limits: Sequence[int]) -> int | None:
        """Take a slot; if one of its holders is at its limit, return which it is. Raises RedisAway."""

    def add(self, slot: "Slot") -> None:
        """Count one that was taken without asking."""

    def give_back(self, slot: "Slot") -> None:
        """Let another have it."""


class Slots:
    """Where slots are counted: ``here``, in this process or on this machine; ``everywhere``, if there is a Redis."""

    def __init__(self, here: InFlight, everywhere: SlotsEverywhere | None = None) -> None:
        self.here = here
        self.everywhere = everywhere


class Slot:
    """One slot of each of its holders."""

    __slots__ = ("_slots", "holders")

    def __init__(self, holders: Sequence[Holder], slots: Slots) -> None:
        self.holders = holders
        self._slots = slots

    async def take(self, limits: Sequence[int]) -> int | None:
        """Take it; if one of the holders is at its limit, take nothing, and return which it is.

        Waits for nothing but Redis, and for that REDIS_SECONDS at most.
        """
        here, everywhere = self._slots.here, self._slots.everywhere
        if everywhere is None:
            return here.take(self.holders, limits)
        try:
            at_limit = await everywhere.take(self, limits)
        except RedisAway:
            at_limit = here.take(self.holders, limits)
            if at_limit is None:
                everywhere.add(self)
        else:
            if at_limit is None:
                here.take(self.holders, [NO_LIMIT] * len(self.holders))
        return at_limit

    def give_back(self) -> None:
        """Let another have it."""
        self._slots.here.give_back(self.holders)
        if self._slots.everywhere is not None:
            self._slots.everywhere.give_back(self)
