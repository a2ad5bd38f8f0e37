"""``manage.py migrate``: Django's own, once the database is there."""

from typing import Any

from django.core.management.commands import migrate

from config.management.base import wait_for_database


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> Any:
        wait_for_database(self.stderr)
        return super().handle(*args, **options)
