"""Whose receipts and usage a key may see: within its project or team, as much as the person who made it may see."""

from dataclasses import dataclass

from django.db.models import QuerySet
from rest_framework.request import Request

from accounts.caller import Caller
from accounts.models import ApiKey, Membership, Project
from credits.models import Hold
from inference.models import Run


@dataclass(frozen=True, slots=True)
class Scope:
    """The projects in a caller's reach, ``team/project`` by id; in them, everybody's runs or only his own."""

    caller: Caller
    projects: dict[int, str]
    sees_all: bool

    @property
    def runs(self) -> "QuerySet[Run]":
        """What ran in them, as far as the caller may see it."""
        runs = Run.objects.filter(project__in=self.projects)
        return runs if self.sees_all else runs.filter(user=self.caller.user_id)

    def shows(self, hold: Hold) -> bool:
        """Whether the caller may see a run under way. A hold knows the key, but not the person."""
        return self.sees_all or hold.key == self.caller.key_id


def scope(request: Request) -> Scope:
    """Return what the caller may see.

    A key for one project sees that one; a key for a whole team sees the team's, or the one that ``OpenAI-Project``
    names, as when it calls a model. Other people's runs are for owners and admins, as in the console.
    """
    caller: Caller = request.user.caller  # type: ignore[union-attr]  # api.authentication admits callers only
    manages = Membership.objects.filter(
        team=caller.team_id, user=caller.user_id, role__in=Membership.MANAGING_ROLES
    ).exists()
    is_for_team = ApiKey.objects.filter(pk=caller.key_id, project=None).exists()
    if request.headers.get("OpenAI-Project") or not is_for_team:
        return Scope(caller, {caller.project_id: caller.path}, manages)
    slugs = Project.objects.filter(team=caller.team_id).values_list("pk", "slug")
    return Scope(caller, {pk: f"{caller.team}/{slug}" for pk, slug in slugs}, manages)
