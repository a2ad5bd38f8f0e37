"""Balance, and what was spent on what."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_datetime
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from console import chart, usage
from console.access import Seat, login_required, person, seat, teams_of
from console.views.pages import page
from credits.balances import balance_of


@require_safe
@never_cache
@login_required
def show_home(request: HttpRequest, tab: str = "overview") -> HttpResponse:
    """Go to the person's first team; its address stays the same as teams come and go."""
    user = person(request)
    # One's own teams first, for an operator who may see all.
    first = user.teams.order_by("slug").first() or teams_of(user).first()
    if first is None:
        return render(request, "console/no_team.html")
    return redirect(f"console:{tab}", first.slug)


@require_safe
@never_cache
@login_required
def show_overview(request: HttpRequest, team: str) -> HttpResponse:
    """Show the team's balance, and the usage that this person may see."""
    place = seat(request, team)
    runs, asked = place.runs(), request.GET.get("project", "")
    project = place.projects().filter(slug=asked).first() if asked else None
    if project is not None:
        runs = runs.filter(project=project)
    days = _days(request)
    spent = usage.usage(runs, days)
    page_of_runs, older = usage.latest(runs, _moment(request))
    context: dict[str, Any] = {
        "tab": "overview",
        "balance": balance_of(place.team.pk),
        "usage": spent,
        "bars": chart.bars(spent),
        "runs": page_of_runs,
        "older": older,
        "is_older": "before" in request.GET,
        "project_slug": project.slug if project else "",
        **_choices(place, days),
    }
    return page(request, place, "console/overview.html", context)


def _choices(place: Seat, days: int) -> dict[str, Any]:
    return {"projects": list(place.projects()), "periods": usage.PERIODS_DAYS, "days": days}


def _days(request: HttpRequest) -> int:
    asked = request.GET.get("days", "")
    return next((days for days in usage.PERIODS_DAYS if str(days) == asked), 30)


def _moment(request: HttpRequest) -> datetime | None:
    """Return from where the list of runs goes on; None where that is not a moment."""
    try:
        moment = parse_datetime(request.GET.get("before", ""))
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
