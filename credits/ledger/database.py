"""The ledger's connections to the database. Statements go to the driver itself, because what Django does around each
costs more than most of the ledger's statements do. Errors are Django's all the same.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from credits.ledger.statements import POSTGRESQL, SQLITE, Statements, with_question_marks

Row = Sequence[object]
Values = Sequence[object]
# A statement, and the rows of values that it is run for.
Batch = tuple[str, Sequence[Row]]

# A statement and its values.
Question = tuple[str, Values]

# Where the log of SQLite is moved into the database by whoever commits, if the thread for that falls behind: 64 MB.
CHECKPOINT_PAGES: Final = 16_384
# A server that vanished is noticed by the network's own means, in seconds instead of a quarter of an hour.
_NOTICING_SILENCE: Final = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


class Database(ABC):
    """One connection, whose transactions are the ledger's; for one thread.

    Statements have a ``%s`` for each value, but the ledger's own (``texts``) are as the database takes them. Any value
    of a model is one.
    """

    texts: Statements
    is_sqlite: bool

    def __init__(self, wrapper: BaseDatabaseWrapper) -> None:
        self.wrapper = wrapper
        self._driver: Any = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block in a transaction, which is rolled back if it raises. Connects first, if need be."""
        with self.wrapper.wrap_database_errors:
            self._connect()
            try:
                self._begin()
                yield
                self._commit()
            except BaseException:
                # Where the connection is broken, so is the transaction; whoever tries again closes it first.
                with suppress(Exception):
                    self._driver.rollback()
                raise

    @contextmanager
    def within(self) -> Iterator[None]:
        """Run the block in the transaction that this thread has open, and that is not the ledger's to end."""
        self.wrapper.validate_no_broken_transaction()
        with self.wrapper.wrap_database_errors:
            self._connect()
            yield

    def close(self) -> None:
        """Close the connection; the next transaction opens another."""
        self._driver = None
        self.wrapper.close()

    def read(self, statement: str, *values: object) -> list[Any]:
        """Return the rows of one of the ledger's own statements."""
        (rows,) = self.read_all((statement, values))
        return rows

    @abstractmethod
    def version(self) -> object:
        """Return what changes whenever another connection has committed; None if nothing says so."""

    @abstractmethod
    def read_all(self, *questions: Question) -> list[list[Any]]:
        """Return the rows of several of the ledger's own statements, which are sent together."""

    @abstractmethod
    def write_all(self, batches: Iterable[Batch]) -> list[int]:
        """Run each of the ledger's own statements for its rows, all sent together; return how many rows each wrote."""

    @abstractmethod
    def write_foreign(self, batches: Iterable[Batch]) -> None:
        """Run statements of others, each for its rows."""

    @abstractmethod
    def checkpoint(self) -> None:
        """Move the log into the database, as far as no reader is in the way. Connects first, if need be."""

    @abstractmethod
    def listed(self, values: Iterable[object]) -> object:
        """Return the one value that carries a list of ids."""

    @abstractmethod
    def moment(self, moment: datetime) -> object:
        """Return an aware moment as the database keeps it."""

    @abstractmethod
    def _opened(self) -> None:
        """Hear of a new connection, ``_driver``."""

    @abstractmethod
    def _begin(self) -> None: ...

    @abstractmethod
    def _commit(self) -> None: ...

    def _connect(self) -> None:
        if self.wrapper.connection is None:
            self.wrapper.connect()
        if self._driver is not self.wrapper.connection:
            self._driver = self.wrapper.connection
            self._opened()


class _SQLite(Database):
    texts = SQLITE
    is_sqlite = True
    _cursor: Any = None

    def version(self) -> object:
        self._cursor.execute("PRAGMA data_version")
        return self._driver, self._cursor.fetchone()[0]

    def read_all(self, *questions: Question) -> list[list[Any]]:
        return [self._cursor.execute(statement, values).fetchall() for statement, values in questions]

    def write_all(self, batches: Iterable[Batch]) -> list[int]:
        return [self._cursor.executemany(statement, rows).rowcount for statement, rows in batches]

    def write_foreign(self, batches: Iterable[Batch]) -> None:
        for statement, rows in batches:
            self._cursor.executemany(_for_sqlite(statement), [_adapted(row) for row in rows])

    def checkpoint(self) -> None:
        with self.wrapper.wrap_database_errors:
            self._connect()
            self._cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def listed(self, values: Iterable[object]) -> object:
        return msgspec.json.encode(list(values)).decode()

    def moment(self, moment: datetime) -> object:
        return _as_text(moment)

    def _opened(self) -> None:
        self._cursor = self._driver.cursor()

    def _begin(self) -> None:
        self._cursor.execute("BEGIN IMMEDIATE")

    def _commit(self) -> None:
        self._cursor.execute("COMMIT")


class _PostgreSQL(Database):
    texts = POSTGRESQL
    is_sqlite = False
    _pipeline: Any = None
    _prepares = False
    # It is sent together with the first reads.
    _must_begin = False

    def version(self) -> object:
        return None

    def read_all(self, *questions: Question) -> list[list[Any]]:
        answers = self._run(questions)
        return [answer.rows for answer in answers]

    def write_all(self, batches: Iterable[Batch]) -> list[int]:
        batches = list(batches)
        counts = iter([answer.written for answer in self._run((text, row) for text, rows in batches for row in rows)])
        return [sum(islice(counts, len(rows))) for _, rows in batches]

    def write_foreign(self, batches: Iterable[Batch]) -> None:
        self._run((statement, row) for statement, rows in batches for row in rows)

    def checkpoint(self) -> None:
        """PostgreSQL does it by itself."""

    def listed(self, values: Iterable[object]) -> object:
        return list(values)

    def moment(self, moment: datetime) -> object:
        return moment

    def _run(self, questions: Iterable[Question]) -> list[Any]:
        if not self._must_begin:
            return self._pipeline.run(questions)  # type: ignore[no-any-return]
        self._must_begin = False
        return self._pipeline.run([("BEGIN", ()), *questions])[1:]  # type: ignore[no-any-return]

    def _opened(self) -> None:
        from credits.ledger.pipeline import Pipeline

        self._pipeline = Pipeline(self._driver, prepares=self._prepares)

    def _begin(self) -> None:
        self._must_begin = True

    def _commit(self) -> None:
        self._pipeline.commit()


class _OwnPostgreSQL(_PostgreSQL):
    """A connection that is kept, so that statements are prepared on it."""

    _prepares = True

    def _opened(self) -> None:
        from psycopg.types.numeric import Int8Dumper

        # One statement for whole numbers of every size, not one for each size.
        self._driver.adapters.register_dumper(int, Int8Dumper)
        super()._opened()


def of_this_thread() -> Database:
    """Return Django's own connection of this thread."""
    return _SQLite(connection) if connection.vendor == "sqlite" else _PostgreSQL(connection)


def opened() -> Database:
    """Return a connection that is the ledger's alone: no page waits for it, and it waits for no page.

    Outside the pool of PostgreSQL's connections, which after an outage tries again more and more rarely.
    """
    wrapper = connections.create_connection(DEFAULT_DB_ALIAS)
    options = dict(wrapper.settings_dict["OPTIONS"])
    is_sqlite = wrapper.vendor == "sqlite"
    if is_sqlite:
        options["init_command"] += f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES};"
    else:
        options.pop("pool", None)
        options = {**_NOTICING_SILENCE, **options}
    wrapper.settings_dict = {**wrapper.settings_dict, "OPTIONS": options}
    return _SQLite(wrapper) if is_sqlite else _OwnPostgreSQL(wrapper)


def _as_text(moment: datetime) -> str:
    """Return a moment as the ORM writes it on SQLite."""
    return (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).replace(tzinfo=None).isoformat(" ")


# What the ORM would store for values that SQLite does not know.
_AS_SQLITE: Final[Mapping[type, Callable[[Any], object]]] = {datetime: _as_text, UUID: lambda value: value.hex}


def _adapted(values: Values) -> Values:
    return [_AS_SQLITE[type(value)](value) if type(value) in _AS_SQLITE else value for value in values]


_for_sqlite = cache(with_question_marks)
