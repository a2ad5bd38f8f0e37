"""Triggers that refuse to change or delete an entry, whoever asks: the ORM, the admin panel, or SQL typed by hand.

SQLite drops a table's triggers when a migration rebuilds the table, so they are made again after every migrate.
"""

from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from credits.models import Entry

_SQLITE = """
CREATE TRIGGER IF NOT EXISTS credits_entry_refuses_{action} BEFORE {action} ON credits_entry {condition}
BEGIN SELECT RAISE(ABORT, 'entries are appended, never edited or deleted'); END
"""
# INSERT OR REPLACE would take an entry away without asking the trigger for deletions.
_TAKES_A_PLACE = """
WHEN EXISTS (SELECT 1 FROM credits_entry WHERE id = NEW.id)
OR EXISTS (SELECT 1 FROM credits_entry WHERE account_id = NEW.account_id AND sequence = NEW.sequence)
OR NEW.kind = 'charge' AND EXISTS (SELECT 1 FROM credits_entry WHERE kind = 'charge' AND run = NEW.run)
"""
_POSTGRESQL_FUNCTION = """
CREATE OR REPLACE FUNCTION credits_entry_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'entries are appended, never edited or deleted' USING ERRCODE = 'restrict_violation'; END $$
"""
_POSTGRESQL = """
CREATE OR REPLACE TRIGGER credits_entry_refuses_{action} BEFORE {action} ON credits_entry
FOR EACH STATEMENT EXECUTE FUNCTION credits_entry_is_append_only()
"""


def create(using: str, **_: Any) -> None:
    """Make the triggers where they are missing; the receiver of ``post_migrate``."""
    connection = connections[using]
    if Entry._meta.db_table not in connection.introspection.table_names():
        return
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_POSTGRESQL_FUNCTION)
        for action, condition in _actions(connection).items():
            statement = _POSTGRESQL if connection.vendor == "postgresql" else _SQLITE
            cursor.execute(statement.format(action=action, condition=condition))


def drop(using: str) -> None:
    """Remove the triggers: only the tests do, to empty their database between two tests."""
    connection = connections[using]
    with connection.cursor() as cursor:
        for action in _actions(connection):
            table = " ON credits_entry" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER IF EXISTS credits_entry_refuses_{action}{table}")


def _actions(connection: BaseDatabaseWrapper) -> dict[str, str]:
    """Return what is refused, and under which condition."""
    if connection.vendor == "postgresql":
        return {"update": "", "delete": "", "truncate": ""}
    return {"update": "", "delete": "", "insert": _TAKES_A_PLACE}
