"""One run's receipt: what was held, delivered, charged and given back, and why it ended."""

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from console.access import Seat, login_required, seat
from console.reports import billing
from console.reports.naming import Names
from console.views.pages import page
from credits.models import Entry
from inference.models import Run
from inference.runs import receipts


@require_safe
@never_cache
@login_required
def show_receipt(request: HttpRequest, team: str, request_id: str) -> HttpResponse:
    """Show the receipt of a run that this person may see, or what is held for one under way."""
    place = seat(request, team)
    run_id = receipts.run_id(request_id)
    if run_id is None:
        raise Http404("That is no request id.")
    receipt = receipts.find(place.runs(), run_id)
    if receipt is None:
        return _show_running(request, place, run_id)
    names = Names(place, [receipt.run.key])
    context = {
        "tab": "overview",
        "receipt": receipt,
        "run": receipt.run,
        "key": names.key(receipt.run.key),
        "entry": _entry(place, receipt.run),
    }
    return page(request, place, "console/receipt.html", context)


def _show_running(request: HttpRequest, place: Seat, run_id: str) -> HttpResponse:
    """Tell a manager of a run that has not ended, or why there may be no receipt."""
    held = billing.held_run(place, run_id) if place.manages else None
    if held is None:
        # The same for what is another's: nothing is learned by trying.
        context = {"tab": "overview", "request_id": f"req_{run_id}"}
        return page(request, place, "console/receipt_none.html", context, status=404)
    return page(request, place, "console/receipt_running.html", {"tab": "overview", "held": held})


def _entry(place: Seat, run: Run) -> Entry | None:
    """Return the run's charge in the ledger, for those who may read that."""
    if not place.manages:
        return None
    return Entry.objects.filter(account=place.team.pk, kind=Entry.Kind.CHARGE, run=run.pk).first()
