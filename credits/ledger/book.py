"""The rows that one group of operations touches, in memory: read under lock, changed here, written by the group."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from credits.budgets.rows import KEY, PROJECT, TEAM, BudgetRow, month_of
from credits.errors import BudgetLimit, HoldEnded, InsufficientCredits, UnknownAccount, UnknownHold
from credits.ledger.hashing import EntryRecord, entry_hash
from credits.models import Entry, Hold
from credits.money import MAX_AMOUNT_NANO

OPEN, SETTLED, RELEASED, EXPIRED = (str(state) for state in Hold.State.values)


class Write(NamedTuple):
    """A row of the caller's own, written in the very transaction that ends a hold, or not at all.

    ``sql`` has a ``%s`` for each value; the same statement is given with every row of its kind. Aware datetimes and
    UUIDs are adapted to the database. ``then`` is another one, written or not written with it.
    """

    sql: str
    row: tuple[object, ...]
    then: "Write | None" = None


class Attribution(NamedTuple):
    """What a hold and its charge are for, in opaque ids: the run, and the project and key whose budgets count them."""

    run: str
    project: str
    key: str


@dataclass(slots=True)
class AccountRow:
    """An account as it will be written; ``read`` is what it was when its lock was taken."""

    account_id: int
    balance_nano: int
    held_nano: int
    entry_count: int
    entry_hash: str
    plan_id: int | None
    granted_month: str
    low_balance_nano: int
    read: tuple[int, int, int, str] = field(init=False)

    def __post_init__(self) -> None:
        """Remember what was read."""
        self.read = self.state

    @property
    def available_nano(self) -> int:
        """What a new hold may still take."""
        return self.balance_nano - self.held_nano

    @property
    def capacity_nano(self) -> int:
        """What a hold could take if there were no others."""
        return self.balance_nano

    @property
    def state(self) -> tuple[int, int, int, str]:
        """What an operation may change, to be compared with what was read."""
        return (self.balance_nano, self.held_nano, self.entry_count, self.granted_month)

    @property
    def is_newly_low(self) -> bool:
        """Whether this group took the balance below the mark of its alert."""
        return self.balance_nano < self.low_balance_nano <= self.read[0]


class PlanRow(NamedTuple):
    """A plan whose grant for the month is due."""

    plan_id: int
    name: str
    monthly_grant_nano: int


class MonthlyGrantRow(NamedTuple):
    """A month's grant that this group gives; the database refuses a second one for the account and month."""

    account_id: int
    month: str
    plan_id: int
    sequence: int


@dataclass(slots=True)
class HoldRow:
    """A hold as it will be written; ``read`` is its state and amount before, nothing for a new one."""

    hold_id: str
    account_id: int
    amount_nano: int
    state: str
    attribution: Attribution
    expires_at: datetime
    read: tuple[str, int] | None
    ended_at: datetime | None = None


@dataclass(slots=True)
class Book:
    """One group's accounts and holds, and what the group appends. ``now`` is the database's clock."""

    now: datetime
    accounts: dict[int, AccountRow]
    holds: dict[str, HoldRow]
    changed: dict[str, HoldRow] = field(default_factory=dict)
    entries: list[EntryRecord] = field(default_factory=list)
    writes: dict[str, list[tuple[object, ...]]] = field(default_factory=dict)
    # By account, scope and reference; most groups meet none.
    budgets: dict[tuple[int, str, str], list[BudgetRow]] = field(default_factory=dict)
    monthly_grants: list[MonthlyGrantRow] = field(default_factory=list)
    # Accounts in which a hold ended: somebody may be waiting for its credits.
    freed: set[int] = field(default_factory=set)

    def expire(self) -> None:
        """End the open holds whose time is over."""
        for hold in self.holds.values():
            if hold.state == OPEN and hold.expires_at <= self.now:
                self.end(hold, EXPIRED)

    def give_monthly_grants(self, plans: Iterable[PlanRow]) -> None:
        """Post the grant of each account's plan, once in a month; a balance beyond reason gets what fits."""
        by_id = {plan.plan_id: plan for plan in plans}
        if not by_id:
            return
        month = month_of(self.now)
        for account in self.accounts.values():
            plan = by_id.get(account.plan_id or 0)
            if not plan or account.granted_month >= month:
                continue
            account.granted_month = month
            amount_nano = min(plan.monthly_grant_nano, MAX_AMOUNT_NANO - account.balance_nano)
            if amount_nano > 0:
                reason = f"plan {plan.name}, {month}"
                entry = self.post(account, Entry.Kind.GRANT, amount_nano, actor="plan", reason=reason)
                self.monthly_grants.append(MonthlyGrantRow(account.account_id, month, plan.plan_id, entry.sequence))

    def account(self, account_id: int) -> AccountRow:
        """Return the account. Raises UnknownAccount."""
        try:
            return self.accounts[account_id]
        except KeyError:
            raise UnknownAccount(f"there is no team {account_id}") from None

    def hold(self, hold_id: UUID, *states: str) -> HoldRow:
        """Return the hold if it is in one of the states. Raises UnknownHold or HoldEnded."""
        hold = self.holds.get(hold_id.hex)
        if hold is None:
            raise UnknownHold(f"there is no hold {hold_id}")
        if hold.state not in states:
            raise HoldEnded(hold_id, hold.state)
        return hold

    def budgets_of(self, account_id: int, attribution: Attribution) -> list[BudgetRow]:
        """Return the budgets that count what is attributed so: the team's, the project's and the key's."""
        if not self.budgets:
            return []
        names = ((TEAM, ""), (PROJECT, attribution.project), (KEY, attribution.key))
        return [budget for name in names for budget in self.budgets.get((account_id, *name), ())]

    def room_nano(self, account_id: int, attribution: Attribution) -> int:
        """Return the most that can be set aside: the tightest of the balance and the budgets wins."""
        budgets = self.budgets_of(account_id, attribution)
        return max(min([self.account(account_id).available_nano, *(budget.available_nano for budget in budgets)]), 0)

    def refusal(
        self, account_id: int, attribution: Attribution, needed_nano: int, own_nano: int = 0
    ) -> InsufficientCredits:
        """Return why so much cannot be held; ``own_nano`` of it is what the hold has already.

        Of the limits that refuse, it names one that would refuse without other holds too, if there is such a one.
        """
        account = self.account(account_id)
        limits: list[AccountRow | BudgetRow] = [account, *self.budgets_of(account_id, attribution)]
        refusing = [limit for limit in limits if limit.available_nano + own_nano < needed_nano]
        tightest = min(refusing, key=lambda limit: (limit.capacity_nano >= needed_nano, limit.available_nano))
        refused_by: BudgetLimit | None = tightest.description if isinstance(tightest, BudgetRow) else None
        return InsufficientCredits(
            available_nano=self.room_nano(account_id, attribution) + own_nano,
            balance_nano=account.balance_nano,
            needed_nano=needed_nano,
            refused_by=refused_by or "balance",
            capacity_nano=tightest.capacity_nano,
        )

    def add(self, hold: HoldRow) -> None:
        """Set a new hold's amount aside; the caller has checked that it is available."""
        self._hold(hold, hold.amount_nano)
        self.holds[hold.hold_id] = self.changed[hold.hold_id] = hold

    def grow(self, hold: HoldRow, amount_nano: int, expires_at: datetime) -> None:
        """Set more aside for an open hold; the caller has checked that it is available."""
        self._hold(hold, amount_nano)
        hold.amount_nano += amount_nano
        hold.expires_at = max(hold.expires_at, expires_at)
        self.changed[hold.hold_id] = hold

    def end(self, hold: HoldRow, state: str) -> None:
        """End the hold; an open one gives its credits back first."""
        if hold.state == OPEN:
            self._hold(hold, -hold.amount_nano)
            self.freed.add(hold.account_id)
        hold.state, hold.ended_at = state, self.now
        self.changed[hold.hold_id] = hold

    def post(
        self,
        account: AccountRow,
        kind: Entry.Kind,
        amount_nano: int,
        *,
        lost_nano: int = 0,
        attribution: Attribution | None = None,
        price: str = "",
        actor: str = "",
        reason: str = "",
    ) -> EntryRecord:
        """Append an entry and move the balance; one with an attribution is a charge, and counts in the budgets."""
        account.balance_nano += amount_nano
        account.entry_count += 1
        run, project, key = attribution or ("", "", "")
        if attribution:
            for budget in self.budgets_of(account.account_id, attribution):
                budget.spent_nano -= amount_nano
        entry = EntryRecord(
            account.account_id,
            account.entry_count,
            str(kind),
            amount_nano,
            lost_nano,
            account.balance_nano,
            run,
            price,
            project,
            key,
            actor,
            reason,
            self.now,
            account.entry_hash,
            "",
        )
        entry = entry._replace(hash=entry_hash(entry))
        account.entry_hash = entry.hash
        self.entries.append(entry)
        return entry

    def write(self, write: Write | None) -> None:
        """Have the caller's rows written together with the group."""
        while write:
            self.writes.setdefault(write.sql, []).append(write.row)
            write = write.then

    def _hold(self, hold: HoldRow, change_nano: int) -> None:
        self.accounts[hold.account_id].held_nano += change_nano
        for budget in self.budgets_of(hold.account_id, hold.attribution):
            budget.held_nano += change_nano
