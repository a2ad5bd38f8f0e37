"""A database that takes no writes, truly: SQLite is full or read-only, PostgreSQL is read-only."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from credits import ledger
from credits.models import Entry, Hold

# More than what deleted rows left free.
_SPARE_BYTES: Final = 1_000_000


class Unwritable:
    """Limits each connection that is opened, until there is ``room`` again; ``tries`` counts those it limited."""

    def __init__(self, limits: list[str], unlimited: list[str]) -> None:
        self.tries = 0
        self._limits = limits
        self._unlimited = unlimited

    def make_room(self) -> None:
        """Let the connections that are opened from now on write; one that is open may refuse one more group."""
        self._limits = []

    def opened(self, connection: BaseDatabaseWrapper, **_: Any) -> None:
        """Hear of a connection."""
        self.tries += bool(self._limits)
        with connection.cursor() as cursor:
            for statement in self._limits or self._unlimited:
                cursor.execute(statement)


@contextmanager
def unwritable() -> Iterator[Unwritable]:
    """Have this process's writer, which begins anew, find a database without room; this thread's own goes on."""
    ledger.close()
    disk = Unwritable(*_statements())
    connection_created.connect(disk.opened)
    try:
        yield disk
    finally:
        disk.make_room()
        ledger.close()
        connection_created.disconnect(disk.opened)
        if connection.vendor == "postgresql":
            # What lies in the pool was limited, too.
            connection.close()
            cast(Any, connection).close_pool()


def _statements() -> tuple[list[str], list[str]]:
    """Return what makes a connection unable to write, and what makes it able again."""
    if connection.vendor == "postgresql":
        # Connections go back into the pool with what was set.
        return ["SET default_transaction_read_only = on"], ["SET default_transaction_read_only = off"]
    with connection.cursor() as cursor:
        pages, free_pages, page_bytes = (
            cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
    # One more row may find a place in a page that is there: each brings so much with it that it cannot.
    size = free_pages * page_bytes + _SPARE_BYTES
    fill = f"INSERT INTO django_session VALUES (hex(randomblob(9)), zeroblob({size}), '2000-01-01')"
    limits = [f"PRAGMA max_page_count = {pages}"]
    for model in (Hold, Entry):
        table = model._meta.db_table
        limits.append(f"CREATE TEMP TRIGGER fill_with_{table} AFTER INSERT ON {table} BEGIN {fill}; END")
    return limits, []
