"""How much of its budgets a team has used, as people are shown it: as of now, whenever the rows were last touched."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import F, QuerySet, Sum
from django.utils import timezone

from credits.budgets.rows import KEY, PROJECT, TEAM, window_end, window_start
from credits.models import Budget
from credits.reports.balances import open_holds

# From here on people are warned: spending of a budget in hundredths of its limit.
NEAR_PERCENT: Final = 90


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """A budget in the window of now; amounts in nano-credits, overdue holds left out."""

    budget: Budget
    spent_nano: int
    held_nano: int
    resets_at: datetime | None

    @property
    def left_nano(self) -> int:
        """What a new hold may still take."""
        return max(self.budget.limit_nano - self.spent_nano - self.held_nano, 0)

    @property
    def percent(self) -> int:
        """How much was spent, rounded down; above 100 where the limit was lowered below that."""
        return self.spent_nano * 100 // self.budget.limit_nano if self.budget.limit_nano else 100

    @property
    def is_near(self) -> bool:
        """Whether people are warned of it."""
        return self.percent >= NEAR_PERCENT


def budget_uses(team_id: int) -> list[BudgetUse]:
    """Return the team's budgets, its own first, then those of its projects and keys."""
    held: dict[tuple[str, str], int] = {}
    held_by = open_holds(team_id).values_list("project", "key").annotate(total=Sum("amount_nano"))
    for project, key, total in held_by:
        for owner in {(TEAM, ""), (PROJECT, project), (KEY, key)}:
            held[owner] = held.get(owner, 0) + int(total)
    order = list(Budget.Scope.values)
    budgets = sorted(
        Budget.objects.filter(account=team_id).order_by("reference", "pk"), key=lambda each: order.index(each.scope)
    )
    return [use_of(budget, held.get((budget.scope, budget.reference), 0)) for budget in budgets]


def near_uses(budgets: "QuerySet[Budget]") -> list[BudgetUse]:
    """Return those budgets of which people are warned, the most used first; holds are not looked at."""
    spent_much = budgets.filter(spent_nano__gte=F("limit_nano") - F("limit_nano") / 10)
    return sorted(
        (use for use in map(use_of, spent_much) if use.is_near), key=lambda use: (-use.percent, use.budget.pk)
    )


def use_of(budget: Budget, held_nano: int = 0) -> BudgetUse:
    """Return a budget's use: of what was spent, nothing counts any more once its window is over."""
    start = max(window_start(budget.period, timezone.now()), budget.window_start)
    spent_nano = budget.spent_nano if start == budget.window_start else 0
    return BudgetUse(budget, spent_nano, held_nano, window_end(budget.period, start))
