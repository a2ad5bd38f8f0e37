"""``manage.py export_ledger TEAM > FILE``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from credits.ledger import export
from credits.models import Account


class Command(BaseCommand):
    """Writes a team's entries to standard output."""

    help = "Write a team's ledger as JSON lines, for `verify_ledger --file`."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("team", help="the team's name")

    def handle(self, *, team: str, **options: Any) -> None:
        """Export."""
        account = Account.objects.select_related("team").filter(team__slug=team).first()
        if account is None:
            raise CommandError(f"There is no team {team!r} with credits.")
        for line in export.lines(account):
            self.stdout.write(line)
