"""What a team has, what is set aside, what its budgets leave and what its plan gives."""

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from console.access import get_seat, login_required
from console.reports import billing
from console.views.pages import page
from credits.reports.balances import balance_of
from inference.runs.usage import Span, usage


@require_safe
@never_cache
@login_required
def show_billing(request: HttpRequest, team: str) -> HttpResponse:
    """Show where the team's credits stand."""
    seat = get_seat(request, team)
    account = billing.account_of(seat)
    today = timezone.now().date()
    balance = balance_of(seat.team.pk)
    budgets = billing.budgets(seat)
    holds = billing.held_runs(seat) if seat.manages else []
    context = {
        "tab": "billing",
        "section": "billing",
        "account": account,
        "balance": balance,
        "month": usage(seat.runs(), Span(today.replace(day=1), today)).total,
        "today": today,
        "plan": billing.plan_of(account),
        "budgets": budgets,
        "is_budget_held": any(named.use.held_nano for named in budgets),
        "holds": holds,
        "unlisted_holds": max(balance.hold_count - len(holds), 0),
    }
    return page(request, seat, "console/billing.html", context)
