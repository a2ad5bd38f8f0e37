"""The ledger's way to the database: the driver's own cursor, because what Django does around each statement costs more
than most of the ledger's statements do. Errors are Django's all the same.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db import connection

from credits.ledger.statements import Statements, statements

# What the ORM would store for values that SQLite does not know.
_AS_SQLITE: Final[Mapping[type, Callable[[Any], object]]] = {
    datetime: lambda moment: str(moment.astimezone(UTC).replace(tzinfo=None)),
    UUID: lambda value: value.hex,
}


class Database:
    """A cursor inside an open transaction. Statements have a ``%s`` for each value; any value of a model is one."""

    def __init__(self, cursor: Any, texts: Statements, *, is_sqlite: bool) -> None:
        self.texts = texts
        self._cursor = cursor
        self._is_sqlite = is_sqlite

    def read(self, statement: str, *values: object) -> list[Any]:
        """Return the rows that a statement gives."""
        self._cursor.execute(self._native(statement), self._adapted(values))
        rows: list[Any] = self._cursor.fetchall()
        return rows

    def write(self, statement: str, rows: Iterable[Sequence[object]]) -> int:
        """Run a statement for each of the rows; return how many rows that wrote."""
        self._cursor.executemany(self._native(statement), [self._adapted(row) for row in rows])
        return int(self._cursor.rowcount)

    def listed(self, values: Iterable[object]) -> object:
        """Return the one value that carries a list of ids."""
        return msgspec.json.encode(list(values)).decode() if self._is_sqlite else list(values)

    def _adapted(self, values: Sequence[object]) -> Sequence[object]:
        if not self._is_sqlite:
            return values
        return [_AS_SQLITE[type(value)](value) if type(value) in _AS_SQLITE else value for value in values]

    def _native(self, statement: str) -> str:
        return _with_question_marks(statement) if self._is_sqlite else statement


@contextmanager
def opened() -> Iterator[Database]:
    """Give the database, inside the transaction that this thread has open."""
    connection.validate_no_broken_transaction()
    with connection.wrap_database_errors, closing(connection.connection.cursor()) as cursor:
        yield Database(cursor, statements(), is_sqlite=connection.vendor == "sqlite")


@cache
def _with_question_marks(statement: str) -> str:
    return statement.replace("%s", "?")
