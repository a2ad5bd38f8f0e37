"""Balance, and what was spent on what."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from console.access import get_seat, login_required, person, teams_of
from console.reports.chart import chart, group_of
from console.reports.tiles import tiles
from console.reports.usage import CUSTOM, UsageForm, group_names
from console.views.pages import page
from credits.money import nano_to_dollars
from credits.reports.balances import balance_of
from inference.errors import InvalidRequest
from inference.runs.first_tokens import first_tokens
from inference.runs.usage import Amount, Usage
from web.downloads import csv_lines, download

CSV_MEASURES = ["requests", "errors", "prompt_tokens", "cached_tokens", "completion_tokens", "cost_dollars"]


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
    seat = get_seat(request, team)
    form = UsageForm(seat, request.GET)
    spent = _usage(form)
    context: dict[str, Any] = {
        "tab": "overview",
        "balance": balance_of(seat.team.pk),
        "form": form,
        "asked": _asked(request),
    }
    if spent is None:
        return page(request, seat, "console/overview.html", context, status=400)
    by = form.cleaned_data["by"]
    names = group_names(seat, [group for group, _ in group_of(spent, by)], by)
    waits = first_tokens(form.runs(), spent.span)
    context |= {
        "usage": spent,
        "tiles": tiles(spent, waits),
        "chart": chart(spent, by, names),
        "by": by.value,
        "is_custom": _is_custom(form),
    }
    return page(request, seat, "console/overview.html", context)


@require_safe
@login_required
def export_usage(request: HttpRequest, team: str) -> HttpResponseBase:
    """Send the usage that was asked for as a table: a row for each day and group."""
    seat = get_seat(request, team)
    form = UsageForm(seat, request.GET)
    spent = _usage(form)
    if spent is None:
        return show_overview(request, team)
    by, span = form.cleaned_data["by"], spent.span
    names = group_names(seat, [group for group, _ in group_of(spent, by)], by)
    rows = [[str(row.day), group := getattr(row, by.value), names[group], *_measures(row.amount)] for row in spent.rows]
    filename = f"{seat.team}-usage-by-{by.value}-{span.first_day}-{span.last_day}.csv"
    return download(
        csv_lines(["day_utc", by.value, f"{by.value}_name", *CSV_MEASURES], rows), filename, "text/csv; charset=utf-8"
    )


def _usage(form: UsageForm) -> Usage | None:
    """Return what was asked for; None where the form says what is wrong with that."""
    if not form.is_valid():
        return None
    try:
        return form.usage()
    except InvalidRequest:
        form.add_error(None, "That are more rows than a page can show. Ask for fewer days, or one project.")
        return None


def _measures(amount: Amount) -> list[object]:
    tokens = (amount.prompt_tokens, amount.cached_tokens, amount.completion_tokens)
    return [amount.requests, amount.errors, *tokens, f"{nano_to_dollars(amount.cost_nano):f}"]


def _is_custom(form: UsageForm) -> bool:
    return bool(form.cleaned_data["days"] == CUSTOM)


def _asked(request: HttpRequest) -> str:
    """Return the question as it stands in the address, for links to other pages of the same."""
    kept = request.GET.copy()
    for name in list(kept):
        if name not in UsageForm.base_fields or not kept[name]:
            del kept[name]
    return kept.urlencode()
