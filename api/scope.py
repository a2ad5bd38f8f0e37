"""Whose receipts and usage a key may see: those of its project, or of every project of its team."""

from dataclasses import dataclass

from django.db.models import QuerySet
from rest_framework.request import Request

from accounts.caller import Caller
from accounts.models import ApiKey, Project
from inference.models import Run


@dataclass(frozen=True, slots=True)
class Scope:
    """The projects in a caller's reach, ``team/project`` by id."""

    team_id: int
    projects: dict[int, str]

    @property
    def runs(self) -> "QuerySet[Run]":
        """Everything that ran in them."""
        return Run.objects.filter(project__in=self.projects)


def scope(request: Request) -> Scope:
    """Return what the caller may see.

    A key for one project sees that one; a key for a whole team sees the team's, or the one that ``OpenAI-Project``
    names, as when it calls a model.
    """
    caller: Caller = request.user.caller  # type: ignore[union-attr]  # api.authentication admits callers only
    is_for_team = ApiKey.objects.filter(pk=caller.key_id, project=None).exists()
    if request.headers.get("OpenAI-Project") or not is_for_team:
        return Scope(caller.team_id, {caller.project_id: caller.path})
    slugs = Project.objects.filter(team=caller.team_id).values_list("pk", "slug")
    return Scope(caller.team_id, {pk: f"{caller.team}/{slug}" for pk, slug in slugs})
