"""``manage.py set_budget TEAM|TEAM/PROJECT|KEY_ID DOLLARS --period total|day|month``."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.management.base import OperatorCommand, Outcome
from credits.budgets import limits, owners
from credits.errors import PERIODS, LedgerError
from credits.models import Budget
from credits.money import dollars_to_nano, format_dollars, nano_to_dollars


class Command(OperatorCommand):
    """Bounds what a team, a project or a key may spend."""

    help = "Bound what a team, a project or an API key may spend; the tightest of all bounds counts."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        super().add_arguments(parser)
        parser.add_argument("owner", help="TEAM, TEAM/PROJECT, or the id of an API key")
        parser.add_argument("dollars", help="a decimal amount with at most 9 decimals, such as 12.50, or `none`")
        parser.add_argument("--period", choices=Budget.Period.values, default=Budget.Period.MONTH.value)

    def perform(self, *, owner: str, dollars: str, period: str, **options: Any) -> Outcome:
        """Set the budget, or remove it with `none`."""
        whose = f"the {PERIODS[period]} budget of {owner}"
        try:
            account_id, scope, reference = owners.find(owner)
            which: dict[str, Any] = {"scope": scope, "reference": reference, "period": period}
            if dollars == "none":
                budget = Budget.objects.filter(account=account_id, origin=Budget.Origin.SET, **which).first()
                if budget is None:
                    raise CommandError(f"There is no such budget: {whose}.")
                limits.remove_budget(account_id, budget.pk)
                return Outcome({**which, "limit": None}, f"Removed {whose}.")
            budget = limits.set_budget(account_id, limit_nano=dollars_to_nano(dollars), **which)
        except (LedgerError, ValueError) as error:
            raise CommandError(str(error)) from error
        spent, limit = format_dollars(budget.spent_nano), format_dollars(budget.limit_nano)
        sentence = f"Set {whose} to {limit}; {spent} of it is spent."
        return Outcome({**which, "limit": f"{nano_to_dollars(budget.limit_nano):f}"}, sentence)
