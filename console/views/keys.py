"""API keys: made and shown once, listed, revoked."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import keys
from accounts.models import ApiKey
from console.access import Seat, login_required, seat
from console.curl import try_key
from console.forms import KeyForm, once
from console.views.pages import page

PURPOSE = "key"
MAX_KEYS_LISTED = 300


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def show_keys(request: HttpRequest, team: str) -> HttpResponse:
    """List the keys, and make one."""
    place = seat(request, team)
    if request.method == "POST":
        return _create(request, place)
    return _list(request, place, KeyForm(place))


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def revoke_key(request: HttpRequest, team: str, key_id: str) -> HttpResponse:
    """Ask whether a key shall be revoked, and revoke it."""
    place = seat(request, team)
    key = get_object_or_404(place.keys(), pk=key_id)
    if request.method == "POST":
        key.revoke()
        messages.success(request, f"The key {key.name} is revoked: nothing can call with it any more.")
        return redirect("console:keys", place.team.slug)
    return page(request, place, "console/key_revoke.html", {"tab": "keys", "key": key})


def _create(request: HttpRequest, place: Seat) -> HttpResponse:
    if not place.may_call:
        raise PermissionDenied("A viewer only looks.")
    form = KeyForm(place, request.POST)
    if not form.is_valid():
        return _list(request, place, form, status=400)
    try:
        with transaction.atomic():
            once.spend(form.cleaned_data["ticket"], place.user, PURPOSE)
            key, secret = keys.create(**form.wanted())
    except ValidationError as error:
        form.refuse(error)
        return _list(request, place, form, status=400)
    except once.AlreadySent:
        messages.warning(request, "This key was made already. If you did not keep its secret, revoke it.")
        return redirect("console:keys", place.team.slug)
    except once.TicketInvalid:
        form.add_error(None, "The form was open for too long. Send it again.")
        return _list(request, place, form, status=400)
    context = {"tab": "keys", "key": key, "secret": secret, "curl": try_key(key, secret)}
    return page(request, place, "console/key_created.html", context)


def _list(request: HttpRequest, place: Seat, form: KeyForm, status: int = 200) -> HttpResponse:
    listed = list(place.keys()[:MAX_KEYS_LISTED])
    context = {
        "tab": "keys",
        "form": form,
        "ticket": once.issue(place.user, PURPOSE),
        "keys": [(key, state_of(key)) for key in listed],
    }
    return page(request, place, "console/keys.html", context, status)


def state_of(key: ApiKey) -> str:
    """Return ``active``, ``expired`` or ``revoked``."""
    if key.revoked_at:
        return "revoked"
    return "expired" if key.expires_at and key.expires_at <= timezone.now() else "active"
