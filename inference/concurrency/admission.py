"""Who may start now: requests in flight per project and per user."""

from collections.abc import Sequence

from accounts.caller import Caller
from inference.concurrency.limits import ConcurrencyLimits
from inference.concurrency.local import Holder
from inference.concurrency.slots import Slot, Slots
from inference.concurrency.turnover import Turnover, Turnovers
from inference.errors import ConcurrencyLimited


class Admission:
    """Counts requests against their projects and their users while they live."""

    def __init__(self, slots: Slots) -> None:
        self.limits = ConcurrencyLimits()
        self._slots = slots
        self._turnovers = Turnovers()

    async def take(self, caller: Caller) -> "Admitted":
        """Count a request, until what is returned is given back. Raises ConcurrencyLimited at either's limit.

        Waits only for the database after a change, and for Redis.
        """
        limits = await self.limits.of(caller)
        slot = Slot([("project", caller.project_id), ("user", caller.user_id)], self._slots)
        at_limit = await slot.take(limits)
        if at_limit is not None:
            raise self.refusal(slot.holders[at_limit], limits[at_limit])
        return Admitted(slot, [self._turnovers.of(holder) for holder in slot.holders])

    def refusal(self, holder: Holder, limit: int, running: int | None = None) -> ConcurrencyLimited:
        """Return the error for a full project or user, with the time in which a slot will probably be free."""
        retry_after_seconds = self._turnovers.of(holder).retry_after_seconds(running or limit)
        return ConcurrencyLimited.at(limit, retry_after_seconds)


class Admitted:
    """One request in flight."""

    __slots__ = ("_numbered", "_slot")

    def __init__(self, slot: Slot, turnovers: Sequence[Turnover]) -> None:
        self._slot: Slot | None = slot
        self._numbered = [(turnover, turnover.begin()) for turnover in turnovers]

    def give_back(self) -> None:
        """Count it no more; a second time changes nothing."""
        if self._slot:
            self._slot.give_back()
            self._slot = None
            for turnover, number in self._numbered:
                turnover.end(number)
