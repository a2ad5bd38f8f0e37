"""The rows that one group of operations touches, in memory: read under lock, changed here, written by the group."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from credits.errors import HoldEnded, UnknownAccount, UnknownHold
from credits.hashing import EntryRecord, entry_hash
from credits.models import Entry, Hold

OPEN, SETTLED, RELEASED, EXPIRED = (str(state) for state in Hold.State.values)


class Write(NamedTuple):
    """A row of the caller's own, written in the very transaction that ends a hold, or not at all.

    ``sql`` has a ``%s`` for each value; the same statement is given with every row of its kind. Aware datetimes and
    UUIDs are adapted to the database.
    """

    sql: str
    row: tuple[object, ...]


class Spender(NamedTuple):
    """Who spends, in opaque ids: what a hold is for, and where budgets will look."""

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
    read: tuple[int, int, int]

    @property
    def available_nano(self) -> int:
        """What a new hold may still take."""
        return self.balance_nano - self.held_nano


@dataclass(slots=True)
class HoldRow:
    """A hold as it will be written; ``read`` is its state and amount before, nothing for a new one."""

    hold_id: str
    account_id: int
    amount_nano: int
    state: str
    spender: Spender
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
    # Accounts in which a hold ended: somebody may be waiting for its credits.
    freed: set[int] = field(default_factory=set)

    def expire(self) -> None:
        """End the open holds whose time is over."""
        for hold in self.holds.values():
            if hold.state == OPEN and hold.expires_at <= self.now:
                self.end(hold, EXPIRED)

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

    def add(self, hold: HoldRow) -> None:
        """Set a new hold's amount aside; the caller has checked that it is available."""
        self.accounts[hold.account_id].held_nano += hold.amount_nano
        self.holds[hold.hold_id] = self.changed[hold.hold_id] = hold

    def grow(self, hold: HoldRow, amount_nano: int, expires_at: datetime) -> None:
        """Set more aside for an open hold; the caller has checked that it is available."""
        self.accounts[hold.account_id].held_nano += amount_nano
        hold.amount_nano += amount_nano
        hold.expires_at = max(hold.expires_at, expires_at)
        self.changed[hold.hold_id] = hold

    def end(self, hold: HoldRow, state: str) -> None:
        """End the hold; an open one gives its credits back first."""
        if hold.state == OPEN:
            self.accounts[hold.account_id].held_nano -= hold.amount_nano
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
        spender: Spender | None = None,
        price: str = "",
        actor: str = "",
        reason: str = "",
    ) -> EntryRecord:
        """Append an entry and move the balance with it."""
        account.balance_nano += amount_nano
        account.entry_count += 1
        run, project, key = spender or ("", "", "")
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
        """Have the caller's row written together with the group."""
        if write:
            self.writes.setdefault(write.sql, []).append(write.row)
