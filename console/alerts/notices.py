"""Warnings that credits run low, for whoever they bind: from 90% of a budget on, or below the team's own mark."""

from dataclasses import dataclass

from django.db.models import F, QuerySet

from accounts.models import Project, Team, User
from console.access import teams_of
from credits.budgets.rows import KEY, PROJECT
from credits.budgets.use import BudgetUse, near_uses
from credits.models import Account, Budget


@dataclass(frozen=True, slots=True)
class Notice:
    """One warning. ``owner`` is ``team/project``, or ``team/`` where it binds all of the team's projects."""

    owner: str
    team_id: int
    use: BudgetUse | None = None
    balance_nano: int = 0
    low_balance_nano: int = 0

    @property
    def team(self) -> str:
        """The team's name."""
        return self.owner.partition("/")[0]

    @property
    def id(self) -> str:
        """What it is put away by: it comes back when it grows worse, and in the next period."""
        if self.use is None:
            return f"{self.owner} balance {self.low_balance_nano} {self.is_used_up}"
        budget = self.use.budget
        return f"{self.owner} {budget.pk} {budget.window_start:%Y%m%d} {budget.limit_nano} {self.is_used_up}"

    @property
    def is_used_up(self) -> bool:
        """Whether nothing is left."""
        return self.use.percent >= 100 if self.use else self.balance_nano <= 0

    @property
    def is_project(self) -> bool:
        """Whether it is about one project, whose budget the team's owners and admins set."""
        return not self.owner.endswith("/")


def team_notices(team: Team) -> list[Notice]:
    """Return the warnings that bind a team or any of its projects, the gravest first."""
    return _notices(Team.objects.filter(pk=team.pk))


def notices_of(user: User) -> list[Notice]:
    """Return the warnings of all the teams of a person, the gravest first."""
    return _notices(teams_of(user).order_by())


def _notices(teams: "QuerySet[Team]") -> list[Notice]:
    """Look for warnings, with the same three queries for however many teams."""
    mine = teams.values("pk")
    budgets = Budget.objects.filter(account__in=mine).exclude(scope=KEY).select_related("account__team")
    uses = near_uses(budgets)
    owners = _budget_owners(uses)
    warned = [Notice(owner, use.budget.account_id, use) for use in uses if (owner := owners.get(use.budget.pk))]
    low_accounts = Account.objects.filter(team__in=mine, low_balance_nano__gt=F("balance_nano")).select_related("team")
    return [
        *(
            Notice(f"{low.team}/", low.pk, None, low.balance_nano, low.low_balance_nano)
            for low in low_accounts.order_by("balance_nano", "pk")
        ),
        *warned,
    ]


def _budget_owners(uses: list[BudgetUse]) -> dict[int, str]:
    """Return what each budget binds, by the budget's id; nothing where its team has no such project."""
    wanted = [use.budget.reference for use in uses if use.budget.scope == PROJECT]
    ids = [int(reference) for reference in wanted if reference.isdecimal() and len(reference) < 19]
    found = Project.objects.filter(pk__in=ids).select_related("team")
    projects = {(project.team_id, str(project.pk)): str(project) for project in found}
    teams = {(use.budget.account_id, ""): f"{use.budget.account.team}/" for use in uses}
    owners = projects | teams
    keys = {use.budget.pk: (use.budget.account_id, use.budget.reference) for use in uses}
    return {budget_id: owners[key] for budget_id, key in keys.items() if key in owners}
