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
from credits.book import AccountRow, Book, HoldRow, Spender
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
    return Book(now, accounts, {hold.hold_id: hold for hold in holds}), transaction


def _lock(cursor: CursorWrapper, texts: sql.Statements, account_ids: set[int], hold_ids: Any) -> dict[int, AccountRow]:
    cursor.execute(texts.lock_accounts, [texts.listed(account_ids), hold_ids])
    rows: list[tuple[int, int, int, int, str]] = cursor.fetchall()
    return {row[0]: AccountRow(*row, read=(row[1], row[2], row[3])) for row in rows}


def _hold(row: tuple[Any, ...]) -> HoldRow:
    hold_id, account_id, amount_nano, state, run, project, key, expires_at = row
    return HoldRow(
        hold_id if isinstance(hold_id, str) else hold_id.hex,
        account_id,
        amount_nano,
        state,
        Spender(run, project, key),
        expires_at if expires_at.tzinfo else expires_at.replace(tzinfo=UTC),
        read=(state, amount_nano),
    )


def _write(cursor: CursorWrapper, book: Book) -> None:
    """Write every row that the operations changed, each kind in one call."""
    adapted, now = sql.adapted, sql.adapted(book.now)
    new_holds, old_holds = [], []
    for hold in book.changed.values():
        times = (adapted(hold.expires_at), adapted(hold.ended_at))
        if hold.read:
            old_holds.append((hold.amount_nano, hold.state, *times, hold.hold_id, *hold.read))
        else:
            new_holds.append((hold.hold_id, hold.account_id, hold.amount_nano, hold.state, *hold.spender, now, *times))
    accounts = [
        (row.balance_nano, row.held_nano, row.entry_count, row.entry_hash, row.account_id, *row.read)
        for row in book.accounts.values()
        if row.read != (row.balance_nano, row.held_nano, row.entry_count)
    ]
    entries = [(*entry[:12], now, *entry[13:]) for entry in book.entries]
    _write_rows(cursor, sql.INSERT_HOLD, new_holds)
    _write_rows(cursor, sql.UPDATE_HOLD, old_holds)
    _write_rows(cursor, sql.UPDATE_ACCOUNT, accounts)
    _write_rows(cursor, sql.INSERT_ENTRY, entries)
    for statement, rows in book.writes.items():
        cursor.executemany(statement, [tuple(adapted(value) for value in row) for row in rows])


def _write_rows(cursor: CursorWrapper, statement: str, rows: list[Any]) -> None:
    if rows:
        cursor.executemany(statement, rows)
        if cursor.rowcount != len(rows):
            raise RowsMoved(f"{cursor.rowcount} of {len(rows)} rows were as they had been read: {statement}")
