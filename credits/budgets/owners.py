"""Budget owners as people name them: ``team``, ``team/project``, or the id of an API key."""

from collections.abc import Collection
from typing import NamedTuple

from accounts.models import ApiKey, Project, Team
from credits.errors import InvalidBudget
from credits.models import Budget


class BudgetOwner(NamedTuple):
    """Whose spending a budget limits: a team, or one of its projects or keys; the account that pays is the team's."""

    account_id: int
    scope: str
    reference: str


def find(text: str) -> BudgetOwner:
    """Return the budget owner of that name. Raises InvalidBudget where there is none."""
    if text.isprintable():
        team, slash, slug = text.partition("/")
        if slash:
            project = Project.objects.filter(team__slug=team, slug=slug).first()
            if project:
                return BudgetOwner(project.team_id, Budget.Scope.PROJECT.value, str(project.pk))
        elif key := ApiKey.objects.filter(pk=text).first():
            return BudgetOwner(key.team_id, Budget.Scope.KEY.value, key.pk)
        elif found := Team.objects.filter(slug=text).first():
            return BudgetOwner(found.pk, Budget.Scope.TEAM.value, "")
    raise InvalidBudget(f"There is no team, no project and no key {text!r}.")


def names(budgets: Collection[Budget]) -> dict[int, str]:
    """Say whose each budget is, by the budget's id; a project or a key that is gone keeps its own."""
    project_scope, key_scope = Budget.Scope.PROJECT.value, Budget.Scope.KEY.value
    references = {(budget.scope, budget.reference) for budget in budgets}
    # References are opaque: whoever set a budget may have written anything.
    numbers = [each for scope, each in references if scope == project_scope and each.isdecimal() and len(each) < 19]
    key_ids = [each for scope, each in references if scope == key_scope]
    found: dict[tuple[str, str], Project | ApiKey] = {
        **{
            (project_scope, str(each.pk)): each
            for each in Project.objects.select_related("team").filter(pk__in=numbers)
        },
        **{(key_scope, each.pk): each for each in ApiKey.objects.filter(pk__in=key_ids)},
    }
    teams = {team.pk: team for team in Team.objects.filter(pk__in={budget.account_id for budget in budgets})}
    return {
        budget.pk: f"team {teams[budget.account_id]}"
        if budget.scope == Budget.Scope.TEAM
        else f"{budget.scope} {found.get((budget.scope, budget.reference), budget.reference)}"
        for budget in budgets
    }


def name(budget: Budget) -> str:
    """Say whose budget it is."""
    return names([budget])[budget.pk]
