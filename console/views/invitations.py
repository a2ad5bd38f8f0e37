"""Accepting an invitation into a team, with an account or by making one."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts import audit, invitations
from accounts.memberships import MembershipRefused
from accounts.models import Invitation, User
from console.forms.people import NewAccountForm

TEMPLATE = "console/invitation.html"
_BACKEND = "django.contrib.auth.backends.ModelBackend"


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@sensitive_post_parameters()
def show_invitation(request: HttpRequest) -> HttpResponse:
    """Show an invitation to whoever has its link, and let the invited person accept.

    The token is in the query, which is in no log.
    """
    token = request.GET.get("token", "")
    try:
        invitation = invitations.find(token)
    except invitations.InvitationInvalid as refusal:
        return render(request, TEMPLATE, {"refusal": str(refusal)}, status=404)
    user = request.user if isinstance(request.user, User) else None
    if user is None:
        return _show_to_stranger(request, token, invitation)
    if request.method == "POST":
        return _accept(request, token, user)
    return render(request, TEMPLATE, {"invitation": invitation, "is_invited": user.email == invitation.email})


def _show_to_stranger(request: HttpRequest, token: str, invitation: Invitation) -> HttpResponse:
    """Ask to sign in, or for what a new account needs; whoever has the link reads that mailbox."""
    context: dict[str, object] = {"invitation": invitation}
    if User.objects.filter(email=invitation.email).exists():
        return render(request, TEMPLATE, {**context, "has_account": True})
    if not settings.SIGN_UP_BY_INVITATION:
        return render(request, TEMPLATE, {**context, "needs_operator": True})
    new = User(email=invitation.email)
    form = NewAccountForm(new, request.POST if request.method == "POST" else None)
    if request.method != "POST" or not form.is_valid():
        return render(request, TEMPLATE, {**context, "form": form}, status=400 if form.errors else 200)
    new.name = form.cleaned_data["name"]
    try:
        with transaction.atomic():
            new.full_clean(exclude=["password"])
            form.save()
            invitations.accept(token, new)
    except (IntegrityError, MembershipRefused):
        # Somebody was quicker with the same link.
        return redirect(request.get_full_path())
    login(request, new, _BACKEND)
    return _welcome(request, new, invitation)


def _accept(request: HttpRequest, token: str, user: User) -> HttpResponse:
    try:
        membership = invitations.accept(token, user)
    except MembershipRefused as refusal:
        messages.error(request, str(refusal))
        return redirect(request.get_full_path())
    return _welcome(request, user, Invitation(team=membership.team))


def _welcome(request: HttpRequest, user: User, invitation: Invitation) -> HttpResponse:
    audit.record(user, invitation.team, "Accepted an invitation.")
    messages.success(request, f"You are in the team {invitation.team} now.")
    return redirect("console:overview", invitation.team.slug)
