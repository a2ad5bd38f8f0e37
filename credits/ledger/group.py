"""One group of operations inside one transaction: lock, read once, apply in memory in order of arrival, write back.

Everything that touches an account does so under that account's row lock (on SQLite, under the one write lock), so what
was read stays true until the end. The conditions in the updates repeat what was read, as a guard; behind them stand
the database's constraints.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import OperationalError

from credits.budgets.rows import DAY, BudgetRow, month_of, window_start
from credits.errors import LedgerError
from credits.ledger import statements as sql
from credits.ledger.book import AccountRow, Attribution, Book, HoldRow, PlanRow
from credits.ledger.database import Database, opened
from credits.ledger.operations import Operation


@dataclass(frozen=True, slots=True)
class Applied:
    """A group's outcomes, one for each operation in order, and the accounts in which a hold ended.

    ``transaction`` names the transaction on PostgreSQL, so that its fate can be asked if the answer to COMMIT is lost.
    """

    outcomes: list[object]
    freed: set[int]
    transaction: str


class RowsMoved(OperationalError):
    """A row was not as it had been read under lock; the group starts over."""


def apply(operations: Sequence[Operation[object]]) -> Applied:
    """Apply the operations inside the open transaction. A refusal is an outcome; an error of the database is raised."""
    with opened() as database:
        book, transaction = _read(database, operations)
        book.expire()
        book.give_monthly_grants(_plans(database, book))
        outcomes = [_outcome(operation, book) for operation in operations]
        _write(database, book)
    return Applied(outcomes, book.freed, transaction)


def _outcome(operation: Operation[object], book: Book) -> object:
    try:
        return operation.apply(book)
    except LedgerError as refusal:
        return refusal


def _read(database: Database, operations: Sequence[Operation[object]]) -> tuple[Book, str]:
    """Lock the accounts and read all that the operations need."""
    texts, listed = database.texts, database.listed
    hold_ids = listed({operation.hold_id.hex for operation in operations if operation.hold_id})
    account_ids = {operation.account_id for operation in operations if operation.account_id is not None}
    locked = database.read(texts.lock_accounts, listed(account_ids), hold_ids)
    if missing := account_ids - {account_id for _, _, account_id, *_ in locked}:
        database.write(texts.open_accounts, [[listed(missing)]])
        locked = database.read(texts.lock_accounts, listed(account_ids), hold_ids)
    clock, transaction = locked[-1][:2] if locked else database.read(texts.clock)[0]
    now = clock if isinstance(clock, datetime) else datetime.fromisoformat(clock)
    accounts = {account_id: AccountRow(account_id, *row) for _, _, account_id, *row in locked}
    holds = [_hold(row) for row in database.read(texts.holds, hold_ids, listed(accounts), now)]
    attributions = {operation.attribution for operation in operations if operation.attribution}
    attributions.update(hold.attribution for hold in holds)
    budgets = _lock_budgets(database, accounts, attributions)
    # A window that has begun goes on if the clock is set back, and what happens now happens in it.
    now = max([now, *(budget.window_start for budget in budgets)])
    book = Book(now, accounts, {hold.hold_id: hold for hold in holds})
    for budget in budgets:
        budget.move_window(now)
        book.budgets.setdefault((budget.account_id, budget.scope, budget.reference), []).append(budget)
    return book, transaction


def _lock_budgets(
    database: Database, accounts: dict[int, AccountRow], attributions: set[Attribution]
) -> list[BudgetRow]:
    """Lock the budgets that the attributions may touch; the teams' own have no reference."""
    references = (
        {""} | {attribution.project for attribution in attributions} | {attribution.key for attribution in attributions}
    )
    listed = database.listed
    budgets = [
        BudgetRow(*row) for row in database.read(database.texts.lock_budgets, listed(accounts), listed(references))
    ]
    for budget in budgets:
        budget.window_start = _aware(budget.window_start)
    return budgets


def _plans(database: Database, book: Book) -> list[PlanRow]:
    """Read the plans whose grants are due: of one month, the first group that touches the account finds one."""
    planned = [row for row in book.accounts.values() if row.plan_id]
    due = {row.plan_id for row in planned if row.granted_month < month_of(book.now)}
    return [PlanRow(*row) for row in database.read(database.texts.plans, database.listed(due))] if due else []


def _hold(row: tuple[Any, ...]) -> HoldRow:
    hold_id, account_id, amount_nano, state, run, project, key, expires_at = row
    return HoldRow(
        hold_id if isinstance(hold_id, str) else hold_id.hex,
        account_id,
        amount_nano,
        state,
        Attribution(run, project, key),
        _aware(expires_at),
        read=(state, amount_nano),
    )


def _aware(moment: datetime) -> datetime:
    """Return the moment in UTC, as SQLite means it."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _write(database: Database, book: Book) -> None:
    """Write every row that the operations changed, each kind in one call."""
    now = book.now
    new_holds, old_holds = [], []
    for hold in book.changed.values():
        times = (hold.expires_at, hold.ended_at)
        if hold.read:
            old_holds.append((hold.amount_nano, hold.state, *times, hold.hold_id, *hold.read))
        else:
            new_holds.append(
                (hold.hold_id, hold.account_id, hold.amount_nano, hold.state, *hold.attribution, now, *times)
            )
    accounts = [
        (*row.state, row.entry_hash, row.account_id, *row.read)
        for row in book.accounts.values()
        if row.read != row.state
    ]
    _write_rows(database, sql.INSERT_HOLD, new_holds)
    _write_rows(database, sql.UPDATE_HOLD, old_holds)
    _write_rows(database, sql.UPDATE_ACCOUNT, accounts)
    _write_rows(database, sql.INSERT_ENTRY, book.entries)
    _write_rows(database, sql.INSERT_MONTHLY_GRANT, book.monthly_grants)
    _write_limits(database, book)
    for statement, rows in book.writes.items():
        database.write(statement, rows)


def _write_limits(database: Database, book: Book) -> None:
    """Write the budgets that moved, and an alert for each mark that was crossed."""
    now = book.now
    budgets = [budget for budgets in book.budgets.values() for budget in budgets if budget.is_changed]
    alerts: list[tuple[Any, ...]] = [
        (row.account_id, row.budget_id, percent, row.window_start, row.limit_nano, row.spent_nano, now)
        for row in budgets
        for percent in row.crossed_percents()
    ]
    for account in book.accounts.values():
        if account.is_newly_low:
            day = window_start(DAY, now)
            alerts.append((account.account_id, None, None, day, account.low_balance_nano, account.balance_nano, now))
    rows = [(row.window_start, row.spent_nano, row.held_nano, row.budget_id, *row.read) for row in budgets]
    _write_rows(database, sql.UPDATE_BUDGET, rows)
    if alerts:
        database.write(sql.INSERT_ALERT, alerts)


def _write_rows(database: Database, statement: str, rows: Sequence[Sequence[object]]) -> None:
    if rows and (count := database.write(statement, rows)) != len(rows):
        raise RowsMoved(f"{count} of {len(rows)} rows were as they had been read: {statement}")
