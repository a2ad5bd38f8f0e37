"""API keys: made and shown once, listed, revoked."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import keys
from accounts.models import ApiKey
from console.access import Seat, get_seat, login_required
from console.forms import once
from console.forms.keys import KeyForm
from console.views.pages import page
from core import clock

PURPOSE = "key"
MAX_KEYS_LISTED = 300


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def show_keys(request: HttpRequest, team: str) -> HttpResponse:
    """List the keys, and make one."""
    seat = get_seat(request, team)
    if request.method == "POST":
        return _create(request, seat)
    return _list(request, seat, KeyForm(seat))


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def revoke_key(request: HttpRequest, team: str, key_id: str) -> HttpResponse:
    """Ask whether a key shall be revoked, and revoke it."""
    seat = get_seat(request, team)
    key = get_object_or_404(seat.keys(), pk=key_id)
    if request.method == "POST":
        key.revoke()
        messages.success(request, f"The key {key.name} is revoked: nothing can call with it any more.")
        return redirect("console:keys", seat.team.slug)
    return page(request, seat, "console/key_revoke.html", {"tab": "keys", "key": key})


def _create(request: HttpRequest, seat: Seat) -> HttpResponse:
    if not seat.may_call:
        raise PermissionDenied("A viewer only looks.")
    form = KeyForm(seat, request.POST)
    if not form.is_valid():
        return _list(request, seat, form, status=400)
    try:
        with transaction.atomic():
            once.spend(form.cleaned_data["ticket"], seat.user, PURPOSE)
            key, secret = keys.create(**form.wanted())
    except ValidationError as error:
        form.refuse(error)
        return _list(request, seat, form, status=400)
    except once.AlreadySent:
        messages.warning(request, "This key was made already. If you did not keep its secret, revoke it.")
        return redirect("console:keys", seat.team.slug)
    except once.TicketInvalid:
        form.add_error(None, "The form was open for too long. Send it again.")
        return _list(request, seat, form, status=400)
    context = {"tab": "keys", "key": key, "secret": secret}
    return page(request, seat, "console/key_created.html", context)


def _list(request: HttpRequest, seat: Seat, form: KeyForm, status: int = 200) -> HttpResponse:
    listed = list(seat.keys()[:MAX_KEYS_LISTED])
    context = {
        "tab": "keys",
        "form": form,
        "ticket": once.issue(seat.user, PURPOSE),
        "keys": [(key, state_of(key)) for key in listed],
    }
    return page(request, seat, "console/keys.html", context, status)


def state_of(key: ApiKey) -> str:
    """Return ``active``, ``expired`` or ``revoked``."""
    if key.revoked_at:
        return "revoked"
    return "expired" if key.expires_at and key.expires_at <= clock.now() else "active"
