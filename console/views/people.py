"""A team's members and projects, for its owners and admins."""

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import audit, invitations, memberships
from accounts.memberships import MembershipRefused
from accounts.models import Membership, Project
from console import emails
from console.access import Seat, get_managed_seat, login_required
from console.forms.people import InvitationForm, ProjectForm, RoleForm, offered_roles
from console.views.pages import page

MAX_MEMBERS_LISTED = 500
MAX_PROJECTS = 500


@require_safe
@never_cache
@login_required
def show_people(request: HttpRequest, team: str) -> HttpResponse:
    """List members and projects."""
    seat = get_managed_seat(request, team)
    return _list(request, seat)


@require_POST
@login_required
def invite(request: HttpRequest, team: str) -> HttpResponse:
    """Invite somebody into the team; whether they have an account here makes no difference."""
    seat = get_managed_seat(request, team)
    form = InvitationForm(seat, request.POST)
    if not form.is_valid():
        return _list(request, seat, invitation_form=form, status=400)
    email, role = form.cleaned_data["email"], form.cleaned_data["role"]
    try:
        invitation = invitations.invite(seat.team, email, role, inviter=seat.user, by_role=seat.role)
    except MembershipRefused as refusal:
        form.add_error("email", str(refusal))
        return _list(request, seat, invitation_form=form, status=400)
    audit.record(seat.user, seat.team, f"Invited {email} as {role}.")
    if emails.send(emails.invitation(invitation)):
        messages.success(request, f"An invitation is on its way to {email}.")
    else:
        messages.error(request, f"The mail server did not take the invitation to {email}. Invite them again later.")
    return redirect("console:people", seat.team.slug)


@require_POST
@login_required
def withdraw_invitation(request: HttpRequest, team: str, invitation_id: int) -> HttpResponse:
    """Take an invitation back."""
    seat = get_managed_seat(request, team)
    if not invitations.withdraw(seat.team, invitation_id):
        raise Http404("There is no such invitation.")
    messages.success(request, "The invitation is withdrawn.")
    return redirect("console:people", seat.team.slug)


@require_POST
@login_required
def change_role(request: HttpRequest, team: str, membership_id: int) -> HttpResponse:
    """Give a member another role."""
    seat = get_managed_seat(request, team)
    membership = _membership(seat, membership_id)
    form = RoleForm(request.POST)
    if form.is_valid():
        try:
            memberships.change_role(seat.team, membership.pk, form.cleaned_data["role"], by_role=seat.role)
            messages.success(request, f"{membership.user} is {form.cleaned_data['role']} now.")
        except MembershipRefused as refusal:
            messages.error(request, str(refusal))
    else:
        messages.error(request, "There is no such role.")
    return _back(seat, membership)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def remove_member(request: HttpRequest, team: str, membership_id: int) -> HttpResponse:
    """Ask whether a member shall leave, and take them out of the team."""
    seat = get_managed_seat(request, team)
    membership = _membership(seat, membership_id)
    if request.method != "POST":
        return page(request, seat, "console/member_remove.html", {"tab": "people", "membership": membership})
    try:
        memberships.remove(seat.team, membership.pk, by_role=seat.role)
        messages.success(request, f"{membership.user} is no longer in the team, and their keys here have stopped.")
    except MembershipRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("console:people", seat.team.slug)
    return _back(seat, membership)


@require_POST
@login_required
def create_project(request: HttpRequest, team: str) -> HttpResponse:
    """Make a project."""
    seat = get_managed_seat(request, team)
    form = ProjectForm(request.POST, instance=Project(team=seat.team))
    if form.is_valid() and seat.projects().count() >= MAX_PROJECTS:
        form.add_error("slug", f"A team has at most {MAX_PROJECTS} projects.")
    if not form.is_valid():
        return _list(request, seat, project_form=form, status=400)
    project = form.save()
    messages.success(request, f"The project {project} is there.")
    return redirect("console:people", seat.team.slug)


def _membership(seat: Seat, membership_id: int) -> Membership:
    return get_object_or_404(seat.team.memberships.select_related("user"), pk=membership_id)


def _back(seat: Seat, changed: Membership) -> HttpResponse:
    """Show the list again, unless the person changed their own role and may not see it any more."""
    is_self = changed.user_id == seat.user.pk and not seat.user.is_superuser
    return redirect("console:home") if is_self else redirect("console:people", seat.team.slug)


def _list(
    request: HttpRequest,
    seat: Seat,
    *,
    invitation_form: InvitationForm | None = None,
    project_form: ProjectForm | None = None,
    status: int = 200,
) -> HttpResponse:
    members = seat.team.memberships.select_related("user__concurrency_limit").order_by("user__email")
    context = {
        "tab": "people",
        "members": members[:MAX_MEMBERS_LISTED],
        "roles": offered_roles(seat),
        "invitations": invitations.pending(seat.team),
        "sends_mail": bool(settings.EMAIL_HOST),
        "projects": seat.projects().select_related("concurrency_limit"),
        "user_concurrency": settings.USER_CONCURRENCY,
        "project_concurrency": settings.PROJECT_CONCURRENCY,
        "invitation_form": invitation_form or InvitationForm(seat),
        "project_form": project_form or ProjectForm(),
    }
    return page(request, seat, "console/people.html", context, status)
