"""Who may see and do what in the console. Every query starts at the person, so a stranger finds nothing.

| | owner, admin | member | viewer |
|---|---|---|---|
| balance, plan | yes | yes | yes |
| usage, receipts | the whole team's | own | own |
| budgets | all; sets those of projects and keys | the team's, projects' and own keys' | as a member |
| ledger, holds, alerts | yes; sets thresholds and recipients | no | no |
| keys | own, and sees and revokes everyone's | own | sees and revokes own, makes none |
| people, projects, their limits | yes; only owners make and unmake owners; operators set limits | no | no |
"""

from dataclasses import dataclass

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest

from accounts.models import ApiKeyQuerySet, Membership, Project, Team, User
from inference.models import Run

__all__ = ["Seat", "get_managed_seat", "get_seat", "login_required", "person", "teams_of"]

MAX_TEAMS_LISTED = 200


@dataclass(frozen=True, slots=True)
class Seat:
    """A person's role in one team, with what follows from it."""

    user: User
    team: Team
    role: str

    @property
    def manages(self) -> bool:
        """Whether all of the team's spending, keys and people are this person's business."""
        return self.role in Membership.MANAGING_ROLES

    @property
    def owns(self) -> bool:
        """Whether this person may also make and unmake owners."""
        return self.role == Membership.Role.OWNER

    @property
    def may_call(self) -> bool:
        """Whether this person may spend credits, and so make keys."""
        return self.role in Membership.CALLING_ROLES

    def keys(self) -> ApiKeyQuerySet:
        """Return the keys that this person may see and revoke, the newest first."""
        keys = self.team.api_keys.select_related("project__team", "issuer").order_by("-created_at")
        return keys if self.manages else keys.filter(issuer=self.user)

    def runs(self) -> "QuerySet[Run]":
        """Return the runs that this person may see."""
        # By project, because that is what the runs are indexed by.
        runs = Run.objects.filter(project__in=self.projects())
        return runs if self.manages else runs.filter(user=self.user)

    def projects(self) -> "QuerySet[Project]":
        """Return the team's projects."""
        return self.team.projects.select_related("team").order_by("slug")


def person(request: HttpRequest) -> User:
    """Return who is signed in; the view is behind ``login_required``."""
    assert isinstance(request.user, User)
    return request.user


def teams_of(user: User) -> "QuerySet[Team]":
    """Return the person's teams; an operator counts as an owner of every team."""
    teams = Team.objects.all() if user.is_superuser else user.teams.all()
    return teams.order_by("slug")


def get_seat(request: HttpRequest, slug: str) -> Seat:
    """Return the signed-in person's seat in a team. Raises Http404 where there is none, or no such team."""
    user = person(request)
    team = teams_of(user).filter(slug=slug).first()
    role = team.role_of(user) if team else None
    if team is None or role is None:
        raise Http404("There is no such team.")
    return Seat(user, team, role)


def get_managed_seat(request: HttpRequest, slug: str) -> Seat:
    """Return an owner's or admin's seat. Raises Http404 as ``get_seat`` does, and PermissionDenied for the others."""
    seat = get_seat(request, slug)
    if not seat.manages:
        raise PermissionDenied("Only the team's owners and admins may do this.")
    return seat
