"""One group of operations inside one transaction: lock, read, apply in memory in order of arrival, write back.

Everything that touches an account does so under that account's row lock (on SQLite, under the one write lock), so what
was read stays true until the end. The conditions in the updates repeat what was read, as a guard; behind them stand
the database's constraints.

On SQLite, what a group read and wrote is remembered for the next one, for as long as no other connection has committed,
which the database itself says under the write lock. On PostgreSQL nothing is: only a lock would keep it true.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db import OperationalError

from credits.budgets.rows import DAY, BudgetRow, month_of, window_start
from credits.errors import LedgerError
from credits.ledger.book import OPEN, AccountRow, Attribution, Book, HoldRow, PlanRow, Rows
from credits.ledger.database import Batch, Database, Row
from credits.ledger.operations import Operation


class Applied(NamedTuple):
    """A group's outcomes, one for each operation in order, and the accounts in which a hold ended.

    ``transaction`` names the transaction on PostgreSQL, so that its fate can be asked if the answer to COMMIT is lost.
    """

    outcomes: list[object]
    freed: set[int]
    transaction: str


class RowsMoved(OperationalError):
    """A row was not as it had been read under lock; the group starts over."""


def apply(operations: Sequence[Operation[object]], database: Database, rows: Rows) -> Applied:
    """Apply the operations inside the open transaction. A refusal is an outcome; an error of the database is raised.

    Where the transaction is not committed afterwards, the caller has the rows forgotten.
    """
    rows.trust(database.version())
    book, transaction = _Reading(operations, database, rows).book()
    outcomes = [_outcome(operation, book) for operation in operations]
    _write(database, book)
    _forget_ended(book, operations)
    return Applied(outcomes, book.freed, transaction)


def _outcome(operation: Operation[object], book: Book) -> object:
    try:
        return operation.apply(book)
    except LedgerError as refusal:
        return refusal


class _Reading:
    """Brings the rows that a group needs into memory, and up to date."""

    def __init__(self, operations: Sequence[Operation[object]], database: Database, rows: Rows) -> None:
        self._operations = operations
        self._database = database
        self._rows = rows
        self._account_ids = {operation.account_id for operation in operations if operation.account_id is not None}
        self._hold_ids = {operation.hold_hex for operation in operations if operation.hold_hex}

    def book(self) -> tuple[Book, str]:
        """Return the book to work on, and the transaction's name."""
        rows, database = self._rows, self._database
        now, transaction = self._read_accounts_and_holds()
        holds = [rows.holds[hold_id] for hold_id in self._hold_ids if hold_id in rows.holds]
        locked = sorted(rows.accounts.keys() & {*self._account_ids, *(hold.account_id for hold in holds)})
        due = self._read_due(now, [rows.accounts[account_id] for account_id in locked])
        budgets = self._read_budgets(locked, [*holds, *due])
        # A window that has begun goes on if the clock is set back, and what happens now happens in it.
        now = max([now, *(budget.window_start for budget in budgets)])
        for budget in budgets:
            budget.begin(now)
        book = Book(now, rows, locked, budgets)
        book.expire(due)
        book.give_monthly_grants(_due_plans(database, book))
        return book, transaction

    def _read_accounts_and_holds(self) -> tuple[datetime, str]:
        """Lock and read what is not remembered; return the database's clock, and the transaction's name."""
        rows, database, texts = self._rows, self._database, self._database.texts
        unknown_holds = self._hold_ids - rows.holds.keys()
        unknown = self._account_ids - rows.accounts.keys()
        if known := self._hold_ids - unknown_holds:
            unknown.update({rows.holds[hold_id].account_id for hold_id in known} - rows.accounts.keys())
        if not unknown and not unknown_holds:
            # On SQLite: the write lock is taken already, and the clock is this machine's.
            return datetime.now(UTC), ""
        hold_ids = database.listed(unknown_holds)
        values = (database.listed(unknown), hold_ids)
        questions = ((texts.lock_accounts, values), (texts.surroundings, values), (texts.holds, (hold_ids,)))
        locked, surroundings, holds = database.read_all(*questions)
        if missing := unknown - {account_id for _, _, account_id, *_ in locked}:
            database.write_all([(texts.open_accounts, [[database.listed(missing)]])])
            locked, surroundings, holds = database.read_all(*questions)
        around = {account_id: (bool(has_budgets), _moment(expiry)) for account_id, has_budgets, expiry in surroundings}
        for _, _, account_id, *columns in locked:
            rows.accounts[account_id] = AccountRow(account_id, *[*columns, *around[account_id]])
        for columns in holds:
            hold = _hold(columns)
            rows.holds[hold.hold_id] = hold
        clock, transaction = (locked or database.read(texts.clock))[-1][:2]
        return (datetime.now(UTC) if database.is_sqlite else clock), transaction

    def _read_due(self, now: datetime, accounts: Sequence[AccountRow]) -> list[HoldRow]:
        """Return the holds of the accounts that are due, and find out when the next one will be."""
        due_in = [account for account in accounts if account.next_expiry and account.next_expiry <= now]
        if not due_in:
            return []
        rows, database, texts = self._rows, self._database, self._database.texts
        ids = database.listed(account.account_id for account in due_in)
        due, surroundings = database.read_all(
            (texts.due_holds, (ids, database.moment(now))), (texts.surroundings, (ids, database.listed(())))
        )
        # The due ones among them are about to end; as long as they are there, the next group looks again.
        for account_id, _, expiry in surroundings:
            rows.accounts[account_id].next_expiry = _moment(expiry)
        holds = [_hold(columns) for columns in due]
        return [rows.holds.setdefault(hold.hold_id, hold) for hold in holds]

    def _read_budgets(self, locked: Sequence[int], holds: Sequence[HoldRow]) -> list[BudgetRow]:
        """Lock the budgets that the group may touch, and return them; the teams' own have no reference."""
        rows, database = self._rows, self._database
        limited = [account_id for account_id in locked if rows.accounts[account_id].has_budgets]
        if not limited:
            return []
        attributions = {hold.attribution for hold in holds}
        attributions.update(operation.attribution for operation in self._operations if operation.attribution)
        references = {"", *(each.project for each in attributions), *(each.key for each in attributions)}
        wanted = {(account_id, reference) for account_id in limited for reference in references}
        if unknown := wanted - rows.budgets.keys():
            for key in unknown:
                rows.budgets[key] = []
            ids = database.listed({account_id for account_id, _ in unknown})
            names = database.listed({reference for _, reference in unknown})
            for columns in database.read(database.texts.lock_budgets, ids, names):
                budget = BudgetRow(*columns)
                budget.window_start = _aware(budget.window_start)
                if (key := (budget.account_id, budget.reference)) in unknown:
                    rows.budgets[key].append(budget)
        return [budget for key in wanted for budget in rows.budgets[key]]


def _due_plans(database: Database, book: Book) -> list[PlanRow]:
    """Read the plans whose grants are due: of one month, the first group that touches the account finds one."""
    planned = [row for row in book.accounts.values() if row.plan_id]
    if not planned:
        return []
    month = month_of(book.now)
    due = {row.plan_id for row in planned if row.granted_month < month}
    return [PlanRow(*row) for row in database.read(database.texts.plans, database.listed(due))] if due else []


def _hold(columns: Sequence[Any]) -> HoldRow:
    hold_id, account_id, amount_nano, state, run, project, key, expires_at = columns
    name = hold_id if isinstance(hold_id, str) else hold_id.hex
    attribution = Attribution(run, project, key)
    return HoldRow(name, account_id, amount_nano, state, attribution, _aware(expires_at), read=(state, amount_nano))


def _aware(moment: datetime) -> datetime:
    """Return the moment in UTC, as SQLite means it."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _moment(read: datetime | str | None) -> datetime | None:
    """Return what an aggregate of moments is; SQLite gives it as it was written."""
    if not read:
        return None
    return _aware(datetime.fromisoformat(read) if isinstance(read, str) else read)


def _write(database: Database, book: Book) -> None:
    """Write every row that the operations changed: the rows of each kind together, those that must be there checked."""
    batches = _money(database, book)
    if book.limits or any(account.is_newly_low for account in book.accounts.values()):
        batches += _limits(database, book)
    batches = [batch for batch in batches if batch[1]]
    if batches:
        counts = database.write_all(batches)
        for (statement, rows), count in zip(batches, counts, strict=True):
            if count != len(rows) and statement != database.texts.insert_alert:
                raise RowsMoved(f"{count} of {len(rows)} rows were as they had been read: {statement}")
    if book.writes:
        database.write_foreign(book.writes.items())


def _money(database: Database, book: Book) -> list[Batch]:
    """Return the rows of holds, accounts and entries."""
    texts, moment = database.texts, database.moment
    now = moment(book.now)
    new_holds: list[Row] = []
    old_holds: list[Row] = []
    for hold in book.changed_holds.values():
        times = (moment(hold.expires_at), now if hold.ended_at else None)
        if hold.read:
            old_holds.append((hold.amount_nano, hold.state, *times, hold.hold_id, *hold.read))
        else:
            new_holds.append(
                (hold.hold_id, hold.account_id, hold.amount_nano, hold.state, *hold.attribution, now, *times)
            )
    accounts: list[Row] = []
    for row in book.accounts.values():
        if row.read != (state := row.state):
            accounts.append((*state, row.entry_hash, row.account_id, *row.read))
    return [
        (texts.insert_hold, new_holds),
        (texts.update_hold, old_holds),
        (texts.update_account, accounts),
        (texts.insert_entry, [(*entry[:12], now, *entry[13:]) for entry in book.entries]),
        (texts.insert_monthly_grant, book.monthly_grants),
    ]


def _limits(database: Database, book: Book) -> list[Batch]:
    """Return the budgets that moved, and an alert for each mark that was crossed."""
    now, moment = book.now, database.moment
    budgets = [budget for budget in book.limits if budget.is_changed]
    moved = [(moment(row.window_start), row.spent_nano, row.held_nano, row.budget_id, *row.read) for row in budgets]
    alerts: list[Row] = [
        (row.account_id, row.budget_id, percent, moment(row.window_start), row.limit_nano, row.spent_nano, moment(now))
        for row in budgets
        for percent in row.crossed_percents()
    ]
    for row in book.accounts.values():
        if row.is_newly_low:
            day = moment(window_start(DAY, now))
            alerts.append((row.account_id, None, None, day, row.low_balance_nano, row.balance_nano, moment(now)))
    return [(database.texts.update_budget, moved), (database.texts.insert_alert, alerts)]


def _forget_ended(book: Book, operations: Sequence[Operation[object]]) -> None:
    """Keep only open holds in memory, as they are in the database now."""
    for hold in book.changed_holds.values():
        hold.read = (hold.state, hold.amount_nano)
        if hold.state != OPEN:
            del book.holds[hold.hold_id]
    for operation in operations:
        # One that had ended before.
        if operation.hold_hex and (found := book.holds.get(operation.hold_hex)) and found.state != OPEN:
            del book.holds[found.hold_id]
