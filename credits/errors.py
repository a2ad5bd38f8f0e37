"""What the ledger refuses: domain nouns, without a status code.

LedgerError
├── InsufficientCredits    not enough left; tells which limit refused, and "too little" from "blocked by other holds"
├── HoldEnded              the hold was settled, released or has expired
├── UnknownHold            no such hold
├── UnknownAccount         no such team
├── UnknownBudget          the team has no such budget
├── UnknownPlan            there is no such plan
├── InvalidAmount          not a whole, positive, sane number of nano-credits
├── InvalidBudget          a scope, a period, a reference or a threshold that cannot be meant
├── InvalidRecipients      an address that is none, too many of them, or a person who is not the team's
├── SettlementJournaled    not in the database yet, but on the disk: it is charged once the database takes writes
├── OperationRefused       the database refused this operation's rows; nothing of it was kept
└── LedgerUnavailable      the database could not be reached in time; what was asked for may have happened
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from core.errors import DomainError


class LedgerError(DomainError):
    """An operation on credits that did not happen."""


@dataclass(frozen=True, slots=True)
class BudgetLimit:
    """The budget that refused: whose it is, its limit in nano-credits, and when its window starts anew, if ever."""

    scope: str
    reference: str
    period: str
    limit_nano: int
    resets_at: datetime | None

    def __str__(self) -> str:
        whose = f"{self.scope} {self.reference}".rstrip()
        return f"the {PERIODS[self.period]} budget of the {whose}"

    @property
    def told(self) -> str:
        """The budget as its callers know it: a project's reference is a number of ours, and no name to them."""
        known = f"the {PERIODS[self.period]} budget of the project" if self.scope == "project" else str(self)
        return f"{known} (anew at {self.resets_at:%Y-%m-%d %H:%M} UTC)" if self.resets_at else known


# A budget's period as an adjective.
PERIODS: Final = {"total": "total", "day": "daily", "month": "monthly"}


class InsufficientCredits(LedgerError):
    """More was asked for than can be set aside now. All amounts are in nano-credits.

    ``available_nano`` is the most that could have been had. ``refused_by`` names the limit that refused, ``"balance"``
    or a budget; ``capacity_nano`` is what that limit has left, its open holds included. Where several refuse, it is the
    one that refuses whatever happens to other holds.
    """

    code = "insufficient_quota"

    def __init__(
        self,
        *,
        available_nano: int,
        balance_nano: int,
        needed_nano: int,
        refused_by: Literal["balance"] | BudgetLimit = "balance",
        capacity_nano: int | None = None,
    ) -> None:
        within = "" if refused_by == "balance" else f", by {refused_by}"
        super().__init__(
            f"{needed_nano} nano-credits are needed and {available_nano} of {balance_nano} are available{within}"
        )
        self.available_nano = available_nano
        self.balance_nano = balance_nano
        self.needed_nano = needed_nano
        self.refused_by = refused_by
        self.capacity_nano = balance_nano if capacity_nano is None else capacity_nano

    @property
    def message(self) -> str:
        """The sentence shown to the caller; it names the budget that refused, if one did.

        How much is left is not told: a key may be in hands that are not to know what its team has.
        """
        quota = "You exceeded your current quota, please check your plan and billing details"
        return f"{quota}: what is left of {self.limited_by} does not cover this request"

    @property
    def limited_by(self) -> str:
        """What refused, as its callers know it."""
        return "the credits" if self.refused_by == "balance" else self.refused_by.told

    @property
    def is_blocked(self) -> bool:
        """Whether the limit that refused would do, were it not for other open holds: waiting may help."""
        return self.capacity_nano >= self.needed_nano


class HoldEnded(LedgerError):
    """The hold is no longer open; ``state`` says how it ended."""

    def __init__(self, hold_id: UUID, state: str) -> None:
        super().__init__(f"hold {hold_id} is {state}")
        self.hold_id = hold_id
        self.state = state


class UnknownHold(LedgerError):
    """There is no such hold."""


class UnknownAccount(LedgerError):
    """There is no such team."""


class UnknownBudget(LedgerError):
    """The team has no such budget."""


class UnknownPlan(LedgerError):
    """There is no such plan."""


class InvalidAmount(LedgerError, ValueError):
    """An amount that cannot be meant."""


class InvalidBudget(LedgerError, ValueError):
    """A budget or a plan that cannot be meant."""


class InvalidRecipients(LedgerError, ValueError):
    """Somebody who cannot be told of a team's alerts."""


class SettlementJournaled(LedgerError):
    """The database takes no writes now; the settlement is on the disk, and happens once it does. Nothing is lost."""


class OperationRefused(LedgerError):
    """The database refused the operation's rows, the caller's own among them; ``__cause__`` says why."""


class LedgerUnavailable(LedgerError):
    """The database could not be reached in time. Where its last answer was lost, the operation may have happened."""

    code = "ledger_unavailable"

    @property
    def message(self) -> str:
        """The sentence shown to the caller; the reason is for the log."""
        return "The ledger is not reachable, please try again later"
