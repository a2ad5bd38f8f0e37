"""The rows that groups of operations work on, in memory: read under lock, changed here, written by the group."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from credits.budgets.rows import KEY, PROJECT, TEAM, BudgetRow, month_of
from credits.errors import BudgetLimit, HoldEnded, InsufficientCredits, UnknownAccount, UnknownHold
from credits.ledger.hashing import EntryRecord, next_entry, written
from credits.models import Entry, Hold
from credits.money import MAX_AMOUNT_NANO

OPEN, SETTLED, RELEASED, EXPIRED = (str(state) for state in Hold.State.values)
CHARGE, GRANT = str(Entry.Kind.CHARGE), str(Entry.Kind.GRANT)
# More rows than a process works on in any short time; beyond that, what is remembered is forgotten, and read again.
MAX_REMEMBERED: Final = 10_000


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
    """An account as it will be written; ``read`` is what was in the database before this group.

    ``next_expiry`` is not later than the first moment at which an open hold of the account is due.
    """

    account_id: int
    balance_nano: int
    held_nano: int
    entry_count: int
    entry_hash: str
    plan_id: int | None
    granted_month: str
    low_balance_nano: int
    has_budgets: bool
    next_expiry: datetime | None
    read: tuple[int, int, int, str] = (0, 0, 0, "")

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
    """A hold as it will be written; ``read`` is its state and amount before this group, nothing for a new one."""

    hold_id: str
    account_id: int
    amount_nano: int
    state: str
    attribution: Attribution
    expires_at: datetime
    read: tuple[str, int] | None = None
    ended_at: datetime | None = None


@dataclass(slots=True)
class Rows:
    """Accounts, open holds and budgets as they are in the database, for as long as nobody else writes there.

    Budgets are by account, and by the project or key that they limit, or ``""`` for the team's own; of those that were
    asked for, an empty list says that there are none.
    """

    accounts: dict[int, AccountRow] = field(default_factory=dict)
    holds: dict[str, HoldRow] = field(default_factory=dict)
    budgets: dict[tuple[int, str], list[BudgetRow]] = field(default_factory=dict)
    version: object = None

    def trust(self, version: object) -> None:
        """Forget what was remembered, unless the database still has the version that was seen last."""
        is_crowded = max(len(self.accounts), len(self.holds), len(self.budgets)) > MAX_REMEMBERED
        if version is None or version != self.version or is_crowded:
            self.forget()
        self.version = version

    def forget(self) -> None:
        """Forget everything: somebody else wrote, or a group was not committed."""
        self.accounts.clear()
        self.holds.clear()
        self.budgets.clear()
        self.version = None


class Book:
    """What one group of operations sees and changes of the rows, and what it appends. ``now`` is the database's clock.

    ``accounts`` and ``limits`` are the accounts and budgets that the group locked.
    """

    __slots__ = (
        *("accounts", "budgets", "changed_holds", "entries", "freed", "holds", "limits", "monthly_grants", "now"),
        *("writes", "written_at"),
    )

    def __init__(self, now: datetime, rows: Rows, account_ids: Iterable[int], limits: Sequence[BudgetRow] = ()) -> None:
        self.now = now
        # As it is hashed; most groups append no entry.
        self.written_at = ""
        self.holds = rows.holds
        self.budgets = rows.budgets
        self.limits = limits
        self.accounts: dict[int, AccountRow] = {}
        for account_id in account_ids:
            if account := rows.accounts.get(account_id):
                account.read = account.state
                self.accounts[account_id] = account
        self.changed_holds: dict[str, HoldRow] = {}
        self.entries: list[EntryRecord] = []
        self.writes: dict[str, list[tuple[object, ...]]] = {}
        self.monthly_grants: list[MonthlyGrantRow] = []
        # Accounts in which a hold ended: somebody may be waiting for its credits.
        self.freed: set[int] = set()

    def expire(self, holds: Iterable[HoldRow]) -> None:
        """End those of the holds that are open and whose time is over."""
        for hold in holds:
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
                entry = self.post(account, GRANT, amount_nano, actor="plan", reason=reason)
                self.monthly_grants.append(MonthlyGrantRow(account.account_id, month, plan.plan_id, entry.sequence))

    def account(self, account_id: int) -> AccountRow:
        """Return the account. Raises UnknownAccount."""
        try:
            return self.accounts[account_id]
        except KeyError:
            raise UnknownAccount(f"there is no team {account_id}") from None

    def hold(self, hold_hex: str, *states: str) -> HoldRow:
        """Return the hold if it is in one of the states. Raises UnknownHold or HoldEnded."""
        hold = self.holds.get(hold_hex)
        if hold is None:
            raise UnknownHold(f"there is no hold {UUID(hold_hex)}")
        if hold.state not in states:
            raise HoldEnded(UUID(hold_hex), hold.state)
        return hold

    def budgets_of(self, account_id: int, attribution: Attribution) -> list[BudgetRow]:
        """Return the budgets that count what is attributed so: the team's, the project's and the key's."""
        if not self.accounts[account_id].has_budgets:
            return []
        names = ((TEAM, ""), (PROJECT, attribution.project), (KEY, attribution.key))
        return [
            budget
            for scope, reference in names
            for budget in self.budgets.get((account_id, reference), ())
            if budget.scope == scope
        ]

    def room_nano(self, account_id: int, attribution: Attribution) -> int:
        """Return the most that can be set aside: the tightest of the balance and the budgets wins."""
        room_nano = self.account(account_id).available_nano
        for budget in self.budgets_of(account_id, attribution):
            room_nano = min(room_nano, budget.available_nano)
        return max(room_nano, 0)

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
        self.holds[hold.hold_id] = self.changed_holds[hold.hold_id] = hold
        self._is_due_by(hold)

    def grow(self, hold: HoldRow, amount_nano: int, expires_at: datetime) -> None:
        """Set more aside for an open hold; the caller has checked that it is available."""
        self._hold(hold, amount_nano)
        hold.amount_nano += amount_nano
        hold.expires_at = max(hold.expires_at, expires_at)
        self.changed_holds[hold.hold_id] = hold

    def end(self, hold: HoldRow, state: str) -> None:
        """End the hold; an open one gives its credits back first."""
        if hold.state == OPEN:
            self._hold(hold, -hold.amount_nano)
            self.freed.add(hold.account_id)
        hold.state, hold.ended_at = state, self.now
        self.changed_holds[hold.hold_id] = hold

    def post(
        self,
        account: AccountRow,
        kind: str,
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
        content = (
            *(account.account_id, account.entry_count, kind, amount_nano, lost_nano, account.balance_nano),
            *(run, price, project, key, actor, reason),
        )
        self.written_at = self.written_at or written(self.now)
        entry = next_entry(account.entry_hash, content, self.now, self.written_at)
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

    def _is_due_by(self, hold: HoldRow) -> None:
        account = self.accounts[hold.account_id]
        if account.next_expiry is None or hold.expires_at < account.next_expiry:
            account.next_expiry = hold.expires_at
