"""One run's receipt: what was held, delivered, charged and given back, and why it ended."""

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from console.access import Seat, get_seat, login_required
from console.reports import billing
from console.reports.naming import Names
from console.reports.timeline import timeline
from console.views.pages import page
from core import ids
from credits.models import Entry
from inference.models import Run
from inference.runs import receipts


@require_safe
@never_cache
@login_required
def show_receipt(request: HttpRequest, team: str, request_id: str) -> HttpResponse:
    """Show the receipt of a run that this person may see, or what is held for one under way."""
    seat = get_seat(request, team)
    run_id = ids.run_named(request_id)
    if run_id is None:
        raise Http404("That is no request id.")
    receipt = receipts.find(seat.runs(), run_id)
    if receipt is None:
        return _show_running(request, seat, run_id)
    names = Names(seat, [receipt.run.key])
    context = {
        "tab": "overview",
        "receipt": receipt,
        "run": receipt.run,
        "timeline": timeline(receipt),
        "key": names.key(receipt.run.key),
        "entry": _entry(seat, receipt.run),
    }
    return page(request, seat, "console/receipt.html", context)


def _show_running(request: HttpRequest, seat: Seat, run_id: str) -> HttpResponse:
    """Tell a manager of a run that has not ended, or why there may be no receipt."""
    held = billing.held_run(seat, run_id) if seat.manages else None
    if held is None:
        # The same for what is another's: nothing is learned by trying.
        context = {"tab": "overview", "request_id": ids.request_id(run_id)}
        return page(request, seat, "console/receipt_none.html", context, status=404)
    return page(request, seat, "console/receipt_running.html", {"tab": "overview", "held": held})


def _entry(seat: Seat, run: Run) -> Entry | None:
    """Return the run's charge in the ledger, for those who may read that."""
    if not seat.manages:
        return None
    return Entry.objects.filter(account=seat.team.pk, kind=Entry.Kind.CHARGE, run=run.pk).first()
