"""A budget as a group of operations sees it, and the windows in which budgets count.

A charge counts in the window in which it is made, by the database's clock in UTC. A hold counts in whichever window
is current while it is open: when the day changes, ``spent`` starts at nothing and ``held`` stays, because that is what
the open holds may still charge to the new day. So a window's charges never exceed its limit, whatever was held before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from credits.errors import BudgetLimit
from credits.models import Budget

TEAM, PROJECT, KEY = (str(scope) for scope in Budget.Scope.values)
TOTAL, DAY, MONTH = (str(period) for period in Budget.Period.values)
# The one window of a total: it has no other beginning than the account's.
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


def window_start(period: str, now: datetime) -> datetime:
    """Return when the window began that ``now`` is in."""
    if period == TOTAL:
        return BEGINNING
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if period == DAY else midnight.replace(day=1)


def window_end(period: str, start: datetime) -> datetime | None:
    """Return when the next window begins; None for a total."""
    if period == TOTAL:
        return None
    if period == DAY:
        return start + timedelta(days=1)
    # The 28th and four days are in the next month, whichever month it is.
    return (start.replace(day=28) + timedelta(days=4)).replace(day=1)


def month_of(now: datetime) -> str:
    """Return the month in UTC, as ``2026-01``."""
    return f"{now.astimezone(UTC):%Y-%m}"


@dataclass(slots=True)
class BudgetRow:
    """A budget as it will be written; ``read`` is what was spent and held before this group."""

    budget_id: int
    account_id: int
    scope: str
    reference: str
    period: str
    limit_nano: int
    window_start: datetime
    spent_nano: int
    held_nano: int
    alert_percents: str
    read: tuple[int, int] = (0, 0)
    is_moved: bool = False
    # What was spent in the current window before this group.
    spent_before_nano: int = 0

    def begin(self, now: datetime) -> None:
        """Remember what is in the database, and start the window that ``now`` is in, if it is a later one."""
        self.read, self.is_moved = (self.spent_nano, self.held_nano), False
        start = window_start(self.period, now)
        if start > self.window_start:
            self.window_start, self.spent_nano, self.is_moved = start, 0, True
        self.spent_before_nano = self.spent_nano

    @property
    def is_changed(self) -> bool:
        """Whether the row must be written."""
        return self.is_moved or self.read != (self.spent_nano, self.held_nano)

    @property
    def capacity_nano(self) -> int:
        """What is left of the limit, open holds included; negative where the limit was lowered below its use."""
        return self.limit_nano - self.spent_nano

    @property
    def available_nano(self) -> int:
        """What a new hold may still take; negative where the limit was lowered below its use."""
        return self.limit_nano - self.spent_nano - self.held_nano

    @property
    def description(self) -> BudgetLimit:
        """The budget, for whom it refuses."""
        resets_at = window_end(self.period, self.window_start)
        return BudgetLimit(self.scope, self.reference, self.period, self.limit_nano, resets_at)

    def crossed_percents(self) -> Iterator[int]:
        """Yield each threshold that this group's charges crossed."""
        if self.spent_nano > self.spent_before_nano:
            yield from crossed(self.alert_percents, self.limit_nano, self.spent_before_nano, self.spent_nano)


def crossed(alert_percents: str, limit_nano: int, before_nano: int, after_nano: int) -> Iterator[int]:
    """Yield each percentage of the limit that lies above what was spent before, and not above what is spent now."""
    for percent in _percents(alert_percents):
        if before_nano * 100 < limit_nano * percent <= after_nano * 100:
            yield percent


@lru_cache(maxsize=256)
def _percents(written: str) -> tuple[int, ...]:
    return tuple(int(percent) for percent in written.split(",") if percent)
