"""A pytest plugin for tests with ``transaction=True``: empties the database after them.

Django's own flush empties every table and sends ``post_migrate``, which makes each permission and trigger anew: a third
of a second for each test on PostgreSQL. This one deletes from the tables that have rows, and leaves what a migration
makes. The ledger's writer is stopped first, and the thread of Django's async queries lets go: their connections would
outlive the test database.
"""

from collections.abc import Iterator
from functools import cache
from typing import Final

import pytest

# What `migrate` fills, and the tests leave as it is.
_KEPT: Final = {"accounts_change", "auth_permission", "django_content_type", "django_migrations"}


def pytest_configure() -> None:
    """Have Django empty a database our way."""
    from django.test import TransactionTestCase

    TransactionTestCase._fixture_teardown = _empty_all  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _writers_let_go(request: pytest.FixtureRequest) -> Iterator[None]:
    marker = request.node.get_closest_marker("django_db")
    by_marker = bool(marker and (marker.kwargs.get("transaction") or (marker.args and marker.args[0])))
    if not by_marker and not {"transactional_db", "live_server"} & set(request.fixturenames):
        yield
        return
    # Set up the database first, so that it is emptied after this fixture ends.
    request.getfixturevalue("transactional_db")
    yield
    from asgiref.sync import SyncToAsync
    from django.db import connections

    from credits import ledger

    SyncToAsync.single_thread_executor.submit(connections.close_all).result()
    ledger.close()


def _empty_all(_: object) -> None:
    from django.db import connections

    for using in connections:
        _empty(using)


def _empty(using: str) -> None:
    """Delete every row that a test left; the ledger's triggers, which refuse to delete entries, are not asked."""
    from django.db import connections, transaction

    from credits.ledger import triggers

    connection = connections[using]
    with connection.cursor() as cursor:
        cursor.execute(_finding_rows(using))
        tables = [table for (table,) in cursor.fetchall()]
        if not tables:
            return
        with transaction.atomic(using=using):
            if connection.vendor == "postgresql":
                cursor.execute("SET LOCAL session_replication_role = replica")
            else:
                triggers.drop(using)
            for table in tables:
                cursor.execute(f'DELETE FROM "{table}"')
    triggers.create(using)


@cache
def _finding_rows(using: str) -> str:
    """Return the query for the names of the tables that have rows."""
    from django.db import connections

    tables = set(connections[using].introspection.django_table_names()) - _KEPT
    return " UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM \"{table}\")" for table in sorted(tables))
