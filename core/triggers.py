"""Database triggers that outlive migrations: every one declared here is created anew after each ``migrate``.

SQLite drops a table's triggers when a migration rebuilds the table, so a migration alone cannot promise them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.signals import post_migrate


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger and, for each database vendor that needs it, the statements that create it.

    The trigger of this name is dropped first; the statements then run in order, in the same transaction. They are
    given to the database as they stand (no parameters), and must bear being run again.
    """

    name: str
    table: str
    statements: Mapping[str, Sequence[str]]


_declared: dict[str, Trigger] = {}


def install(*wanted: Trigger) -> None:
    """Declare triggers, from an ``AppConfig.ready``; they exist from the next ``migrate`` on."""
    _declared.update((trigger.name, trigger) for trigger in wanted)
    accounts = apps.get_app_config("accounts")
    post_migrate.connect(_after_migrate, sender=accounts, dispatch_uid="core.triggers")


def _after_migrate(using: str, **_signal: Any) -> None:
    """Every app's migrations have run when the first ``post_migrate`` is sent, so one receiver serves all apps."""
    create(using)


def create(using: str = "default") -> None:
    """Create all declared triggers anew; those of a table that does not exist yet are left out.

    Each has a transaction of its own, so a busy site's tables are locked one at a time and never without a trigger.
    """
    connection = connections[using]
    tables = set(connection.introspection.table_names())
    for trigger in _declared.values():
        if trigger.table in tables and connection.vendor in trigger.statements:
            with transaction.atomic(using=using):
                _create(connection, trigger)


def _create(connection: BaseDatabaseWrapper, trigger: Trigger) -> None:
    where = f' ON "{trigger.table}"' if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f'DROP TRIGGER IF EXISTS "{trigger.name}"{where}')
        for statement in trigger.statements[connection.vendor]:
            cursor.execute(statement)
