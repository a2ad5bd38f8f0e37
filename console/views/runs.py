"""A team's runs, one by one."""

from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.utils.dateparse import parse_datetime
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from console.access import get_seat, login_required
from console.reports.runs import RunsForm, latest
from console.views.pages import page


@require_safe
@never_cache
@login_required
def show_runs(request: HttpRequest, team: str) -> HttpResponse:
    """Show the runs that this person may see, the latest first."""
    seat = get_seat(request, team)
    form = RunsForm(seat, request.GET)
    is_valid = form.is_valid()
    runs, older = latest(form.runs(), _moment(request))
    context = {
        "tab": "runs",
        "form": form,
        "runs": runs,
        "older": older,
        "is_older": "before" in request.GET,
        "asked": form.asked(),
    }
    return page(request, seat, "console/runs.html", context, 200 if is_valid else 400)


def _moment(request: HttpRequest) -> datetime | None:
    """Return from where the list goes on; None where that is not a moment."""
    try:
        moment = parse_datetime(request.GET.get("before", ""))
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
