"""The team's ledger: to be read, searched, and taken away as a file that anyone can check."""

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from console.access import Seat, get_managed_seat, login_required
from console.reports import entries
from console.reports.entries import FilterForm, NamedEntry
from console.views.pages import page
from credits.ledger import export
from credits.models import Account, Entry
from credits.money import nano_to_dollars
from web.downloads import csv_lines, download

CSV_HEADING = [
    *("sequence", "created_at_utc", "kind", "amount_dollars", "lost_dollars", "balance_after_dollars"),
    *("request_id", "project", "key_id", "key_name", "price_version", "actor", "reason", "hash"),
]


@require_safe
@never_cache
@login_required
def show_ledger(request: HttpRequest, team: str) -> HttpResponse:
    """Show a page of entries, the newest first."""
    seat = get_managed_seat(request, team)
    form = FilterForm(seat, request.GET)
    if not form.is_valid():
        return _draw(request, seat, form, {}, status=400)
    before, after = _sequence(request, "before"), _sequence(request, "after")
    shown = entries.read_page(seat, form.apply(_entries(seat)), before, after)
    return _draw(request, seat, form, {"page": shown, "is_older": before is not None, "filters": _filters(request)})


@require_safe
@login_required
def export_csv(request: HttpRequest, team: str) -> HttpResponseBase:
    """Send the wanted entries, the oldest first, as a table."""
    seat = get_managed_seat(request, team)
    form = FilterForm(seat, request.GET)
    if not form.is_valid():
        return _draw(request, seat, form, {}, status=400)
    account = _account(seat)
    until_now = _entries(seat).filter(sequence__lte=account.entry_count if account else 0)
    rows = map(_cells, entries.read_all(seat, form.apply(until_now)))
    return download(csv_lines(CSV_HEADING, rows), _filename(seat, "csv"), "text/csv; charset=utf-8")


@require_safe
@login_required
def export_chain(request: HttpRequest, team: str) -> HttpResponseBase:
    """Send the whole ledger as the lines that ``verify_ledger --file`` checks."""
    seat = get_managed_seat(request, team)
    account = _account(seat) or Account(team=seat.team)
    lines = (f"{line}\n" for line in export.lines(account))
    return download(lines, _filename(seat, "jsonl"), "application/jsonl; charset=utf-8")


def _draw(
    request: HttpRequest, seat: Seat, form: FilterForm, context: dict[str, object], status: int = 200
) -> HttpResponse:
    always = {"tab": "billing", "section": "ledger", "form": form, "account": _account(seat)}
    context = {**always, "chain_filename": _filename(seat, "jsonl"), **context}
    return page(request, seat, "console/ledger.html", context, status)


def _account(seat: Seat) -> Account | None:
    return Account.objects.select_related("team").filter(team=seat.team).first()


def _entries(seat: Seat) -> "QuerySet[Entry]":
    return Entry.objects.filter(account=seat.team.pk)


def _filename(seat: Seat, ending: str) -> str:
    return f"{seat.team}-ledger-{timezone.now():%Y-%m-%d}.{ending}"


def _sequence(request: HttpRequest, name: str) -> int | None:
    """Return from which entry a page goes on; None where that is not one."""
    asked = request.GET.get(name, "")
    found = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 20 else None
    return found if found is not None and found <= entries.MAX_SEQUENCE else None


def _filters(request: HttpRequest) -> str:
    """Return the filters as they stand in the address, for the links to other pages of the same."""
    kept = request.GET.copy()
    for name in list(kept):
        if name not in FilterForm.base_fields or not kept[name]:
            del kept[name]
    return kept.urlencode()


def _cells(found: NamedEntry) -> list[object]:
    entry = found.entry
    return [
        entry.sequence,
        f"{entry.created_at:%Y-%m-%d %H:%M:%S.%f}",
        entry.kind,
        *(f"{nano_to_dollars(nano):f}" for nano in (entry.amount_nano, entry.lost_nano, entry.balance_after_nano)),
        *(found.request_id, found.project, entry.key, found.key),
        *(entry.price, entry.actor, entry.reason, entry.hash),
    ]
