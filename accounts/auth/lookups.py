"""What is read from the database about a caller; each look-up is hashable and has one outcome at a time."""

import math
import re
from typing import NamedTuple

from django.db.models import QuerySet

from accounts.auth.cache import Grant, Outcome
from accounts.caller import Caller
from accounts.errors import ExpiredKey, ProjectOutsideScope, RevokedKey, RoleMayNotCall, UnknownKey, UnknownUser
from accounts.models import DEFAULT_PROJECT, ApiKey, Membership, Project, User
from core import clock

_slug = r"[a-z0-9._-]{1,64}"
_path = re.compile(rf"({_slug})/({_slug})")


class ProjectPath(NamedTuple):
    """A project's full name, taken apart."""

    team: str
    project: str

    @classmethod
    def parse(cls, text: str) -> "ProjectPath":
        """Take ``team/project`` apart. Raises ProjectOutsideScope for anything else; what passes is short ASCII."""
        match = _path.fullmatch(text)
        if not match:
            raise ProjectOutsideScope
        return cls(match[1], match[2])


class KeyLookup(NamedTuple):
    """The project that a secret may call in; no path means the key's own or the default project."""

    digest: str
    path: ProjectPath | None

    def run(self) -> Outcome:
        """Read the database, in at most three queries."""
        return _outcome(ApiKey.objects.filter(digest=self.digest), self.path)


class HeldKeyLookup(NamedTuple):
    """Whether the key of this id, whose secret was shown before, may still call in a project."""

    key_id: str
    path: ProjectPath

    def run(self) -> Outcome:
        """Read the database, in at most three queries."""
        return _outcome(ApiKey.objects.filter(pk=self.key_id), self.path)


class UserLookup(NamedTuple):
    """Whether a signed-in user may call in a project."""

    user_id: int
    path: ProjectPath

    def run(self) -> Outcome:
        """Read the database, in at most three queries."""
        user = User.objects.filter(pk=self.user_id, is_active=True).first()
        if user is None:
            return UnknownUser
        projects = Project.objects.select_related("team")
        project = projects.filter(team__slug=self.path.team, slug=self.path.project).first()
        if project is None:
            return ProjectOutsideScope
        role = project.team.role_of(user)
        if role is None:
            return ProjectOutsideScope
        if role not in Membership.CALLING_ROLES:
            return RoleMayNotCall
        return _grant(project, user.pk, "", math.inf)


def _outcome(keys: QuerySet[ApiKey], path: ProjectPath | None) -> Outcome:
    key = keys.select_related("issuer", "team").first()
    if key is None:
        return UnknownKey
    if key.revoked_at:
        return RevokedKey
    if key.expires_at and key.expires_at <= clock.now():
        return ExpiredKey
    if not key.issuer.is_active or key.team.role_of(key.issuer) not in Membership.CALLING_ROLES:
        return UnknownUser
    project = _project(key, path)
    if project is None:
        return ProjectOutsideScope
    return _grant(project, key.issuer_id, key.id, key.expires_at.timestamp() if key.expires_at else math.inf)


def _project(key: ApiKey, path: ProjectPath | None) -> Project | None:
    """Find the project within the key's reach; the search starts at the key's team, so it cannot leave it."""
    if path and path.team != key.team.slug:
        return None
    reachable = key.team.projects.select_related("team")
    if key.project_id:
        reachable = reachable.filter(pk=key.project_id)
    if path:
        reachable = reachable.filter(slug=path.project)
    elif not key.project_id:
        reachable = reachable.filter(slug=DEFAULT_PROJECT)
    return reachable.first()


def _grant(project: Project, user_id: int, key_id: str, expires_at: float) -> Grant:
    team = project.team
    caller = Caller(
        team_id=team.pk,
        team=team.slug,
        project_id=project.pk,
        project=project.slug,
        user_id=user_id,
        key_id=key_id,
        team_enabled=team.is_enabled,
    )
    return Grant(caller, expires_at)


Lookup = KeyLookup | HeldKeyLookup | UserLookup
