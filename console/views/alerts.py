"""What a team's owners and admins are warned of, who hears it, and what was sent when."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from console import emails
from console.access import Seat, get_managed_seat, login_required
from console.forms.budgets import AddressesForm, LowBalanceForm
from console.reports import billing
from console.reports.naming import Names
from console.views.pages import page
from credits import alerts
from credits.budgets import limits
from credits.budgets.rows import KEY
from credits.errors import InvalidRecipients, LedgerError
from credits.models import Alert

MAX_ALERTS_LISTED = 100


@require_safe
@never_cache
@login_required
def show_alerts(request: HttpRequest, team: str) -> HttpResponse:
    """Show the thresholds, the recipients, and the alerts so far."""
    return _list(request, get_managed_seat(request, team))


@require_POST
@login_required
def set_low_balance(request: HttpRequest, team: str) -> HttpResponse:
    """Say below which balance an alert is sent."""
    seat = get_managed_seat(request, team)
    form = LowBalanceForm(request.POST)
    if not form.is_valid():
        return _list(request, seat, low_balance_form=form, status=400)
    try:
        limits.set_low_balance(seat.team.pk, form.cleaned_data["low_balance"])
    except LedgerError as error:
        form.add_error("low_balance", str(error))
        return _list(request, seat, low_balance_form=form, status=400)
    return _done(request, seat)


@require_POST
@login_required
def set_addresses(request: HttpRequest, team: str) -> HttpResponse:
    """Say who is told besides the owners and admins."""
    seat = get_managed_seat(request, team)
    form = AddressesForm(request.POST)
    if not form.is_valid():
        return _list(request, seat, addresses_form=form, status=400)
    try:
        new = alerts.set_addresses(seat.team.pk, form.cleaned_data["addresses"])
    except InvalidRecipients as error:
        form.add_error("addresses", str(error))
        return _list(request, seat, addresses_form=form, status=400)
    if lost := [email for email in new if not emails.send(emails.address_confirmation(seat.team, email))]:
        messages.error(request, f"The mail server did not take the question to {', '.join(lost)}.")
    elif new:
        messages.success(request, f"We asked {', '.join(new)} to agree. Nothing else is sent there before.")
    return _done(request, seat)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def show_address(request: HttpRequest) -> HttpResponse:
    """Let the owner of an address say whether alerts may be sent to it; whoever has the link reads that mailbox."""
    address = alerts.address_of(request.GET.get("token", ""))
    if address is None:
        return render(request, "console/alert_address.html", status=404)
    outcome = ""
    if request.method == "POST" and request.POST.get("wanted") == "yes":
        alerts.confirm(address)
        outcome = "confirmed"
    elif request.method == "POST":
        address.delete()
        outcome = "removed"
    context = {"address": address, "team": address.account.team, "outcome": outcome}
    return render(request, "console/alert_address.html", context)


@require_POST
@login_required
def set_own(request: HttpRequest, team: str) -> HttpResponse:
    """Hear of the team's alerts, or not: everyone for themselves."""
    seat = get_managed_seat(request, team)
    try:
        alerts.set_opt_out(seat.team.pk, seat.user.pk, is_told=request.POST.get("is_told") == "yes")
    except InvalidRecipients as error:
        messages.error(request, str(error))
        return redirect("console:alerts", seat.team.slug)
    return _done(request, seat)


def _done(request: HttpRequest, seat: Seat) -> HttpResponse:
    messages.success(request, "Saved.")
    return redirect("console:alerts", seat.team.slug)


def _history(seat: Seat) -> list[tuple[Alert, str]]:
    """Return the latest alerts, each with what it is about."""
    found = Alert.objects.filter(account=seat.team.pk).select_related("budget")
    listed = list(found.order_by("-created_at", "-pk")[:MAX_ALERTS_LISTED])
    names = Names(seat, (alert.budget.reference for alert in listed if alert.budget and alert.budget.scope == KEY))
    return [(alert, billing.whose(alert.budget, seat, names) if alert.budget else "") for alert in listed]


def _list(
    request: HttpRequest,
    seat: Seat,
    *,
    low_balance_form: LowBalanceForm | None = None,
    addresses_form: AddressesForm | None = None,
    status: int = 200,
) -> HttpResponse:
    account = billing.account_of(seat)
    told = alerts.recipients(seat.team.pk)
    low_balance_nano = account.low_balance_nano if account else 0
    context = {
        "tab": "billing",
        "section": "alerts",
        "low_balance_form": low_balance_form or LowBalanceForm(initial={"low_balance": low_balance_nano}),
        "addresses_form": addresses_form or AddressesForm(initial={"addresses": "\n".join(told.addresses)}),
        "told": told,
        "budgets": billing.budgets(seat),
        "history": _history(seat),
        "sends_mail": bool(settings.EMAIL_HOST),
    }
    return page(request, seat, "console/alerts.html", context, status)
