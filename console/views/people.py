"""A team's members and projects, for its owners and admins."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import memberships
from accounts.memberships import MembershipRefused
from accounts.models import Membership, Project
from console.access import Seat, login_required, seat
from console.forms import MemberForm, ProjectForm, RoleForm, offered_roles
from console.views.pages import page

MAX_MEMBERS_LISTED = 500
MAX_PROJECTS = 500


@require_safe
@never_cache
@login_required
def show_people(request: HttpRequest, team: str) -> HttpResponse:
    """List members and projects."""
    place = _managing(request, team)
    return _list(request, place)


@require_POST
@login_required
def add_member(request: HttpRequest, team: str) -> HttpResponse:
    """Put an existing user into the team."""
    place = _managing(request, team)
    form = MemberForm(place, request.POST)
    if not form.is_valid() or form.user is None:
        return _list(request, place, member_form=form, status=400)
    try:
        memberships.add(place.team, form.user, form.cleaned_data["role"], by_role=place.role)
    except MembershipRefused as refusal:
        form.add_error("email", str(refusal))
        return _list(request, place, member_form=form, status=400)
    messages.success(request, f"{form.user} is in the team now.")
    return redirect("console:people", place.team.slug)


@require_POST
@login_required
def change_role(request: HttpRequest, team: str, membership_id: int) -> HttpResponse:
    """Give a member another role."""
    place = _managing(request, team)
    membership = _membership(place, membership_id)
    form = RoleForm(request.POST)
    if form.is_valid():
        try:
            memberships.change_role(place.team, membership.pk, form.cleaned_data["role"], by_role=place.role)
            messages.success(request, f"{membership.user} is {form.cleaned_data['role']} now.")
        except MembershipRefused as refusal:
            messages.error(request, str(refusal))
    else:
        messages.error(request, "There is no such role.")
    return _back(place, membership)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def remove_member(request: HttpRequest, team: str, membership_id: int) -> HttpResponse:
    """Ask whether a member shall leave, and take him out of the team."""
    place = _managing(request, team)
    membership = _membership(place, membership_id)
    if request.method != "POST":
        return page(request, place, "console/member_remove.html", {"tab": "people", "membership": membership})
    try:
        memberships.remove(place.team, membership.pk, by_role=place.role)
        messages.success(request, f"{membership.user} is out of the team, and his keys here stopped.")
    except MembershipRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("console:people", place.team.slug)
    return _back(place, membership)


@require_POST
@login_required
def create_project(request: HttpRequest, team: str) -> HttpResponse:
    """Make a project."""
    place = _managing(request, team)
    form = ProjectForm(request.POST, instance=Project(team=place.team))
    if form.is_valid() and place.projects().count() >= MAX_PROJECTS:
        form.add_error("slug", f"A team has at most {MAX_PROJECTS} projects.")
    if not form.is_valid():
        return _list(request, place, project_form=form, status=400)
    project = form.save()
    messages.success(request, f"The project {project} is there.")
    return redirect("console:people", place.team.slug)


def _managing(request: HttpRequest, team: str) -> Seat:
    place = seat(request, team)
    place.require_manager()
    return place


def _membership(place: Seat, membership_id: int) -> Membership:
    return get_object_or_404(place.team.memberships.select_related("user"), pk=membership_id)


def _back(place: Seat, changed: Membership) -> HttpResponse:
    """Show the list again, unless the person just changed himself and may not see it any more."""
    is_self = changed.user_id == place.user.pk and not place.user.is_superuser
    return redirect("console:home") if is_self else redirect("console:people", place.team.slug)


def _list(
    request: HttpRequest,
    place: Seat,
    *,
    member_form: MemberForm | None = None,
    project_form: ProjectForm | None = None,
    status: int = 200,
) -> HttpResponse:
    members = place.team.memberships.select_related("user__concurrency_limit").order_by("user__email")
    context = {
        "tab": "people",
        "members": members[:MAX_MEMBERS_LISTED],
        "roles": offered_roles(place),
        "projects": place.projects().select_related("concurrency_limit"),
        "user_concurrency": settings.USER_CONCURRENCY,
        "project_concurrency": settings.PROJECT_CONCURRENCY,
        "member_form": member_form or MemberForm(place),
        "project_form": project_form or ProjectForm(),
    }
    return page(request, place, "console/people.html", context, status)
