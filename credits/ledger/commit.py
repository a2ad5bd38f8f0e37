"""Commits a group, whatever happens on the way: each operation happens once, or its caller hears why it did not.

- An error that passes (a lost connection, a deadlock, a locked database) has the whole group tried again.
- A database that takes no writes (a full disk) may stay so: only the charge for what was delivered waits for it, and in
  the journal, where there is one.
- If the answer to COMMIT itself is lost, PostgreSQL is asked for the transaction's fate before anything is repeated.
- Any other error has one guilty operation: the group is split in halves until that one stands alone. Savepoints
  cannot do this, because a wrong foreign key is only noticed at COMMIT.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from django.db import DatabaseError, Error, OperationalError, transaction

from credits.errors import LedgerUnavailable, OperationRefused
from credits.ledger import group
from credits.ledger.book import Rows
from credits.ledger.database import Database, of_this_thread
from credits.ledger.operations import Operation, Settle

logger = logging.getLogger(__name__)

# How long a group is tried again before its callers are told, and the longest pause between two tries.
RETRY_SECONDS: Final = 20.0
MAX_PAUSE_SECONDS: Final = 1.0
# That no writes are taken is said this often, however many groups find it out.
SAY_AGAIN_SECONDS: Final = 60.0

# SQLite's BUSY and LOCKED; PostgreSQL's classes for connections, rolled-back transactions, resources, locks, shutdown.
_PASSING_SQLITE_CODES: Final = (5, 6)
_PASSING_SQLSTATES: Final = ("08", "40", "53", "55", "57")
# SQLite's READONLY, IOERR, FULL and CANTOPEN; PostgreSQL's read-only transaction, full disk and errors of the system.
_UNWRITABLE_SQLITE_CODES: Final = (8, 10, 13, 14)
_UNWRITABLE_SQLSTATES: Final = ("25006", "53100", "58")


_said_unwritable_at = -SAY_AGAIN_SECONDS


@dataclass(slots=True)
class Committed:
    """Each operation's outcome in order (its result, or the error for its caller) and the accounts that were freed."""

    outcomes: list[object] = field(default_factory=list)
    freed: set[int] = field(default_factory=set)


class Patience(NamedTuple):
    """How long a group is tried again, and whether one with a charge waits for a database that takes no writes."""

    seconds: float = RETRY_SECONDS
    for_charges: bool = True


def commit(
    operations: Sequence[Operation[object]],
    database: Database | None = None,
    rows: Rows | None = None,
    patience: Patience = Patience(),  # noqa: B008 - it does not change
) -> Committed:
    """Commit the operations in one transaction, or, if that is refused, as much of them as can be. Never raises.

    On this thread's own connection, unless another one is given, with what is remembered of its rows.
    """
    database, rows = database or of_this_thread(), rows or Rows()
    try:
        applied = _persist(operations, database, rows, patience)
    except LedgerUnavailable as error:
        return Committed([error] * len(operations))
    except Exception as error:  # noqa: BLE001 - the caller's own rows can fail in any way, and only their caller hears it
        if len(operations) == 1:
            return Committed([_refused(error)])
        half = len(operations) // 2
        first, second = (commit(part, database, rows, patience) for part in (operations[:half], operations[half:]))
        return Committed(first.outcomes + second.outcomes, first.freed | second.freed)
    return Committed(applied.outcomes, applied.freed)


def commit_within(operation: Operation[object]) -> object:
    """Apply one operation inside the caller's own open transaction and return its outcome."""
    database = of_this_thread()
    with transaction.atomic(), database.within():
        return group.apply([operation], database, Rows()).outcomes[0]


def _refused(error: Exception) -> OperationRefused:
    refusal = OperationRefused(f"the database refused the operation: {type(error).__name__}")
    refusal.__cause__ = error
    return refusal


def _persist(
    operations: Sequence[Operation[object]], database: Database, rows: Rows, patience: Patience
) -> group.Applied:
    """Try until the group is committed, an error does not pass, or the time is over (LedgerUnavailable)."""
    give_up_at = time.monotonic() + patience.seconds
    pause_seconds = 0.0
    # Set once a try has reached its COMMIT: an error after that leaves the outcome open.
    applied: group.Applied | None = None
    while True:
        try:
            if applied and applied.transaction and _was_committed(database, applied.transaction):
                return applied
            applied = None
            with database.transaction():
                applied = group.apply(operations, database, rows)
        except Exception as error:
            rows.forget()
            if not isinstance(error, Error):
                raise
            is_unwritable = _is_unwritable(error)
            if is_unwritable:
                _say_unwritable(error)
            elif not _passes(error, database):
                raise
            else:
                logger.warning("The ledger tries a group of %d again: %s", len(operations), error)
            database.close()
            if is_unwritable and not (patience.for_charges and _has_charge(operations)):
                raise LedgerUnavailable(f"the database takes no writes: {error}") from error
            if time.monotonic() + pause_seconds > give_up_at:
                raise LedgerUnavailable("the database could not be reached in time") from error
        else:
            return applied
        time.sleep(pause_seconds)
        pause_seconds = min(max(2 * pause_seconds, 0.02), MAX_PAUSE_SECONDS)


def _was_committed(database: Database, transaction_id: str) -> bool:
    """Ask PostgreSQL what became of a transaction; raises an error that passes while that is not known."""
    with database.transaction():
        ((status,),) = database.read("SELECT pg_xact_status(%s::xid8)", transaction_id)
    if status == "in progress":
        raise OperationalError("the transaction is still in progress")
    return bool(status == "committed")


def _has_charge(operations: Sequence[Operation[object]]) -> bool:
    """Whether something was delivered that is lost if it cannot be written."""
    return any(isinstance(operation, Settle) and operation.cost_nano for operation in operations)


def _passes(error: Error, database: Database) -> bool:
    """Whether the same group may well succeed a moment later."""
    if isinstance(error, group.RowsMoved):
        return True
    sqlite_code, state = _codes(error)
    if database.is_sqlite:
        return sqlite_code in _PASSING_SQLITE_CODES
    if state is None:
        # Without a state, the error is the driver's own: a broken connection, unless it is about the values given.
        return isinstance(error, OperationalError) or not isinstance(error, DatabaseError)
    return state.startswith(_PASSING_SQLSTATES)


def _is_unwritable(error: Error) -> bool:
    """Whether the database takes no writes at present, whoever asks."""
    sqlite_code, state = _codes(error)
    return sqlite_code in _UNWRITABLE_SQLITE_CODES or (state or "").startswith(_UNWRITABLE_SQLSTATES)


def _codes(error: Error) -> tuple[int, str | None]:
    """Return SQLite's primary code, 0 without one, and PostgreSQL's state."""
    cause = error.__cause__
    return getattr(cause, "sqlite_errorcode", 0) & 0xFF, getattr(cause, "sqlstate", None)


def _say_unwritable(error: Error) -> None:
    global _said_unwritable_at  # noqa: PLW0603 - to be said once, for all groups of the process
    now = time.monotonic()
    if now - _said_unwritable_at > SAY_AGAIN_SECONDS:
        _said_unwritable_at = now
        logger.error("The ledger cannot write; requests are refused (ledger_unavailable) until it can: %s", error)
