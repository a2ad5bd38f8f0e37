"""``manage.py grant_credits TEAM DOLLARS --reason TEXT``."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Team
from credits import ledger
from credits.errors import LedgerError
from credits.money import dollars_to_nano, format_dollars, nano_to_dollars


class Command(BaseCommand):
    """Adds credits to a team."""

    help = "Add credits to a team. 1 credit is 1 US dollar."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("team", help="the team's name")
        parser.add_argument("dollars", help="a decimal amount with at most 9 decimals, such as 12.50")
        parser.add_argument("--reason", required=True, help="why; kept with the grant for ever")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, team: str, dollars: str, reason: str, **options: Any) -> None:
        """Grant, and print the new balance."""
        account_id = Team.objects.filter(slug=team).values_list("pk", flat=True).first()
        if account_id is None:
            raise CommandError(f"There is no team {team!r}.")
        try:
            posting = ledger.grant(account_id, dollars_to_nano(dollars), reason=reason, actor="manage.py")
        except (LedgerError, ValueError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            outcome = {
                "team": team,
                "granted": f"{nano_to_dollars(posting.amount_nano):f}",
                "balance": f"{nano_to_dollars(posting.balance_nano):f}",
                "balance_nano": posting.balance_nano,
                "entry": posting.sequence,
            }
            self.stdout.write(json.dumps(outcome))
        else:
            balance = format_dollars(posting.balance_nano)
            self.stdout.write(f"Granted {format_dollars(posting.amount_nano)} to {team}: its balance is {balance}.")
