"""What the billing pages show: who holds and spends what, under the names that people know."""

from dataclasses import dataclass
from typing import Final

from django.utils import timezone

from accounts.models import ApiKey
from console.access import Seat
from console.reports.naming import Names
from core.ids import request_id
from credits.budgets.rows import KEY, PROJECT, month_of
from credits.budgets.use import BudgetUse, budget_uses
from credits.models import Account, Budget, Hold, Plan
from credits.reports.balances import open_holds
from inference.runs import receipts

MAX_HOLDS_LISTED: Final = 100


@dataclass(frozen=True, slots=True)
class HeldRun:
    """A run under way, and what is set aside for it; or one that was lost, and what had been."""

    hold: Hold
    project: str
    key: str

    @property
    def request_id(self) -> str:
        """What its caller knows it by."""
        return request_id(self.hold.run)


@dataclass(frozen=True, slots=True)
class NamedUse:
    """A budget's use, and whose it is."""

    use: BudgetUse
    whose: str
    is_settable: bool
    """Whether this person may set its limit; a team's own and its plan's are for an operator."""

    @property
    def budget(self) -> Budget:
        """The budget."""
        return self.use.budget


@dataclass(frozen=True, slots=True)
class PlanState:
    """A team's plan, and whether this month's grant was given; the month's first request brings it."""

    plan: Plan
    is_granted: bool


def held_runs(seat: Seat) -> list[HeldRun]:
    """Return the runs under way, the latest first."""
    holds = list(open_holds(seat.team.pk).order_by("-created_at", "pk")[:MAX_HOLDS_LISTED])
    return _named_holds(seat, holds)


def held_run(seat: Seat, run_id: str) -> HeldRun | None:
    """Return what is held for one run under way, or was for one that was lost with its process; None for others."""
    projects = list(seat.projects().values_list("pk", flat=True))
    hold = receipts.open_hold(seat.team.pk, projects, run_id) or receipts.lost_hold(seat.team.pk, projects, run_id)
    return _named_holds(seat, [hold])[0] if hold else None


def _named_holds(seat: Seat, holds: list[Hold]) -> list[HeldRun]:
    names = Names(seat, (hold.key for hold in holds))
    return [HeldRun(hold, names.project(hold.project), names.key(hold.key)) for hold in holds]


def budgets(seat: Seat) -> list[NamedUse]:
    """Return the budgets that this person may see: a manager all, others those that bind them."""
    uses = budget_uses(seat.team.pk)
    keys = [use.budget.reference for use in uses if use.budget.scope == KEY]
    if keys and not seat.manages:
        own = set(ApiKey.objects.filter(issuer=seat.user, pk__in=keys).values_list("pk", flat=True))
        uses = [use for use in uses if use.budget.scope != KEY or use.budget.reference in own]
    names = Names(seat, keys)
    return [NamedUse(use, whose(use.budget, seat, names), is_settable(use.budget, seat)) for use in uses]


def whose(budget: Budget, seat: Seat, names: Names) -> str:
    """Say whose spending a budget limits."""
    if budget.scope == PROJECT:
        return f"Project {names.project(budget.reference)}"
    if budget.scope == KEY:
        return f"Key {names.key(budget.reference)}"
    return "Cap of the plan" if budget.origin == Budget.Origin.PLAN else f"Team {seat.team}"


def is_settable(budget: Budget, seat: Seat) -> bool:
    """Whether a person may set a budget's limit in the console."""
    return seat.manages and budget.scope in (PROJECT, KEY)


def plan_of(account: Account | None) -> PlanState | None:
    """Return the account's plan, if it has one; the account was read with it."""
    if account is None or account.plan is None:
        return None
    return PlanState(account.plan, account.granted_month >= month_of(timezone.now()))


def account_of(seat: Seat) -> Account | None:
    """Return the team's account with its plan; a team that was never granted anything may have none."""
    return Account.objects.select_related("plan").filter(team=seat.team).first()
