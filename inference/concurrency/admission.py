"""Who may start now: requests in flight per project and per user."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from accounts.caller import Caller
from inference.concurrency.limits import limits_of
from inference.concurrency.local import InFlight, InFlightHere, InFlightTogether
from inference.concurrency.slots import Place
from inference.concurrency.turnover import turnover_of
from inference.errors import ConcurrencyLimited

_in_flight: InFlight = InFlightHere()


def share(path: Path, column: int) -> None:
    """Count together with the machine's other processes that have a column in this file; before the first request."""
    global _in_flight  # noqa: PLW0603
    _in_flight = InFlightTogether(path, column)


@asynccontextmanager
async def place(caller: Caller) -> AsyncIterator[None]:
    """Count a request against its project and its user while it lives. Raises ConcurrencyLimited at either's limit."""
    limits = await limits_of(caller)
    taken = Place([("project", caller.project_id), ("user", caller.user_id)], _in_flight)
    at_limit = await taken.take(limits)
    if at_limit is not None:
        limit = limits[at_limit]
        raise ConcurrencyLimited.at(limit, turnover_of(taken.holders[at_limit]).retry_after_seconds(limit))
    turnovers = [turnover_of(holder) for holder in taken.holders]
    numbers = [turnover.begin() for turnover in turnovers]
    try:
        yield
    finally:
        taken.give_back()
        for turnover, number in zip(turnovers, numbers, strict=True):
            turnover.end(number)
