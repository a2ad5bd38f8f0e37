"""One group of operations inside one transaction: lock, read once, apply in memory in order of arrival, write back.

Everything that touches an account does so under that account's row lock (on SQLite, under the one write lock), so what
was read stays true until the end. The conditions in the updates repeat what was read, as a guard; behind them stand
the database's constraints.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import OperationalError, connection
from django.db.backends.utils import CursorWrapper

from credits import statements as sql
from credits.book import AccountRow, Book, HoldRow, PlanRow, Spender
from credits.budgets import DAY, BudgetRow, month_of, window_start
from credits.errors import LedgerError
from credits.operations import Operation


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
    with connection.cursor() as cursor:
        book, transaction = _read(cursor, operations)
        book.expire()
        book.give_monthly_grants(_plans(cursor, book))
        outcomes = [_outcome(operation, book) for operation in operations]
        _write(cursor, book)
    return Applied(outcomes, book.freed, transaction)


def _outcome(operation: Operation[object], book: Book) -> object:
    try:
        return operation.apply(book)
    except LedgerError as refusal:
        return refusal


def _read(cursor: CursorWrapper, operations: Sequence[Operation[object]]) -> tuple[Book, str]:
    """Lock the accounts and read all that the operations need."""
    texts = sql.statements()
    hold_ids = texts.listed({operation.hold_id.hex for operation in operations if operation.hold_id})
    account_ids = {operation.account_id for operation in operations if operation.account_id is not None}
    accounts = _lock(cursor, texts, account_ids, hold_ids)
    if account_ids - accounts.keys():
        cursor.execute(texts.open_accounts, [texts.listed(account_ids - accounts.keys())])
        accounts = _lock(cursor, texts, account_ids, hold_ids)
    cursor.execute(texts.clock)
    clock, transaction = cursor.fetchone()
    now = clock if isinstance(clock, datetime) else datetime.fromisoformat(clock)
    cursor.execute(texts.due_holds, [texts.listed(accounts), sql.adapted(now)])
    rows = cursor.fetchall()
    cursor.execute(texts.named_holds, [hold_ids])
    rows += cursor.fetchall()
    holds = [_hold(row) for row in rows]
    spenders = {operation.spender for operation in operations if operation.spender}
    spenders.update(hold.spender for hold in holds)
    budgets = _lock_budgets(cursor, texts, accounts, spenders)
    # A window that has begun goes on if the clock is set back, and what happens now happens in it.
    now = max([now, *(budget.window_start for budget in budgets)])
    book = Book(now, accounts, {hold.hold_id: hold for hold in holds})
    for budget in budgets:
        budget.move_window(now)
        book.budgets.setdefault((budget.account_id, budget.scope, budget.reference), []).append(budget)
    return book, transaction


def _lock(cursor: CursorWrapper, texts: sql.Statements, account_ids: set[int], hold_ids: Any) -> dict[int, AccountRow]:
    cursor.execute(texts.lock_accounts, [texts.listed(account_ids), hold_ids])
    rows: list[tuple[int, int, int, int, str, int | None, str, int]] = cursor.fetchall()
    return {row[0]: AccountRow(*row, read=(row[1], row[2], row[3], row[6])) for row in rows}


def _lock_budgets(
    cursor: CursorWrapper, texts: sql.Statements, accounts: dict[int, AccountRow], spenders: set[Spender]
) -> list[BudgetRow]:
    """Lock the budgets that the spenders may touch; the teams' own have no reference."""
    references = {""} | {spender.project for spender in spenders} | {spender.key for spender in spenders}
    cursor.execute(texts.lock_budgets, [texts.listed(accounts), texts.listed(references)])
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    budgets = [BudgetRow(*row) for row in rows]
    for budget in budgets:
        budget.window_start = _aware(budget.window_start)
    return budgets


def _plans(cursor: CursorWrapper, book: Book) -> list[PlanRow]:
    """Read the plans whose grants are due: of one month, the first group that touches the account finds one."""
    month = month_of(book.now)
    due = {row.plan_id for row in book.accounts.values() if row.plan_id and row.granted_month < month}
    if not due:
        return []
    texts = sql.statements()
    cursor.execute(texts.plans, [texts.listed(due)])
    return [PlanRow(*row) for row in cursor.fetchall()]


def _hold(row: tuple[Any, ...]) -> HoldRow:
    hold_id, account_id, amount_nano, state, run, project, key, expires_at = row
    return HoldRow(
        hold_id if isinstance(hold_id, str) else hold_id.hex,
        account_id,
        amount_nano,
        state,
        Spender(run, project, key),
        _aware(expires_at),
        read=(state, amount_nano),
    )


def _aware(moment: datetime) -> datetime:
    """Return the moment in UTC, as SQLite means it."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _write(cursor: CursorWrapper, book: Book) -> None:
    """Write every row that the operations changed, each kind in one call."""
    adapted = sql.adapter()
    now = adapted(book.now)
    new_holds, old_holds = [], []
    for hold in book.changed.values():
        times = (adapted(hold.expires_at), adapted(hold.ended_at))
        if hold.read:
            old_holds.append((hold.amount_nano, hold.state, *times, hold.hold_id, *hold.read))
        else:
            new_holds.append((hold.hold_id, hold.account_id, hold.amount_nano, hold.state, *hold.spender, now, *times))
    accounts = [
        (*row.state, row.entry_hash, row.account_id, *row.read)
        for row in book.accounts.values()
        if row.read != row.state
    ]
    entries = [(*entry[:12], now, *entry[13:]) for entry in book.entries]
    _write_rows(cursor, sql.INSERT_HOLD, new_holds)
    _write_rows(cursor, sql.UPDATE_HOLD, old_holds)
    _write_rows(cursor, sql.UPDATE_ACCOUNT, accounts)
    _write_rows(cursor, sql.INSERT_ENTRY, entries)
    _write_rows(cursor, sql.INSERT_MONTHLY_GRANT, book.monthly_grants)
    _write_limits(cursor, book)
    for statement, rows in book.writes.items():
        cursor.executemany(statement, [tuple(adapted(value) for value in row) for row in rows])


def _write_limits(cursor: CursorWrapper, book: Book) -> None:
    """Write the budgets that moved, and an alert for each mark that was crossed."""
    adapted = sql.adapter()
    now = adapted(book.now)
    budgets = [budget for budgets in book.budgets.values() for budget in budgets if budget.is_changed]
    alerts: list[tuple[Any, ...]] = [
        (row.account_id, row.budget_id, percent, adapted(row.window_start), row.limit_nano, row.spent_nano, now)
        for row in budgets
        for percent in row.crossed_percents()
    ]
    for account in book.accounts.values():
        if account.is_newly_low:
            day = adapted(window_start(DAY, book.now))
            alerts.append((account.account_id, None, None, day, account.low_balance_nano, account.balance_nano, now))
    rows = [(adapted(row.window_start), row.spent_nano, row.held_nano, row.budget_id, *row.read) for row in budgets]
    _write_rows(cursor, sql.UPDATE_BUDGET, rows)
    if alerts:
        cursor.executemany(sql.INSERT_ALERT, alerts)


def _write_rows(cursor: CursorWrapper, statement: str, rows: list[Any]) -> None:
    if rows:
        cursor.executemany(statement, rows)
        if cursor.rowcount != len(rows):
            raise RowsMoved(f"{cursor.rowcount} of {len(rows)} rows were as they had been read: {statement}")
