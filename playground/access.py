"""Who may see what: signed-in people, and the projects that they belong to."""

from enum import IntEnum
from typing import Any

from channels.auth import get_user
from channels.db import database_sync_to_async
from django.db.models import Case, QuerySet, When

from accounts import keys
from accounts.errors import IdentityError, RoleMayNotCall
from accounts.models import Membership, Project, User
from accounts.sessions import SessionStore, note_use
from credits.reports.balances import balance_of
from playground.errors import NotFound, SignedOut

MAX_PROJECTS_LISTED = 500


class Standing(IntEnum):
    """What a person may do in a project, from least to most."""

    NOTHING = 0
    LOOKS = 1
    CALLS = 2


def projects_of(user: User) -> "QuerySet[Project]":
    """Return the projects that a person may look into; an operator may look into all."""
    projects = Project.objects.select_related("team").order_by("team__slug", "slug")
    return projects if user.is_superuser else projects.filter(team__memberships__user=user)


def project_of(user: User, path: str) -> Project:
    """Return the project ``team/project``. Raises NotFound, for another team's just the same."""
    team, _, slug = path.partition("/")
    project = projects_of(user).filter(team__slug=team, slug=slug).first()
    if project is None:
        raise NotFound
    return project


def role_in(user: User, project: Project) -> str:
    """Return what a person is in a project that the person may look into; an operator is as good as an owner."""
    if user.is_superuser:
        return Membership.Role.OWNER
    return (
        user.memberships.filter(team=project.team_id).values_list("role", flat=True).first() or Membership.Role.VIEWER
    )


def listed_projects(user: User) -> list[dict[str, Any]]:
    """Return the projects for the switcher, with what the person is in each; an operator's own teams come first."""
    roles = dict(user.memberships.values_list("team_id", "role"))
    default = Membership.Role.OWNER if user.is_superuser else Membership.Role.VIEWER
    own_first = Case(When(team_id__in=roles, then=0), default=1)
    return [
        {
            "path": str(project),
            "role": (role := str(roles.get(project.team_id, default))),
            "can_call": user.is_superuser or role in Membership.CALLING_ROLES,
        }
        for project in projects_of(user).order_by(own_first, "team__slug", "slug")[:MAX_PROJECTS_LISTED]
    ]


async def signed_in(session: str | None, *, is_use: bool = False) -> User:
    """Return who a session belongs to as of now, not as of a socket's handshake. Raises SignedOut.

    The session must still be there, its user active and the password the one that it was opened with. ``is_use`` says
    that the person did something just now.
    """
    store = SessionStore(session_key=session)
    user = await get_user({"session": store})
    if not isinstance(user, User):
        raise SignedOut
    if is_use:
        await database_sync_to_async(note_use)(store)
    return user


def balance_for(user: User, path: str) -> dict[str, str]:
    """Return what the team of a project has that the person may look into, in nano-credits. Raises NotFound.

    Strings, because JavaScript's numbers end before ours.
    """
    project = project_of(user, path)
    balance = balance_of(project.team_id)
    return {
        "project": str(project),
        "balance_nano": str(balance.balance_nano),
        "held_nano": str(balance.held_nano),
        "available_nano": str(balance.available_nano),
    }


async def abalance_for(user: User, path: str) -> dict[str, str]:
    """Do as ``balance_for`` does."""
    found: dict[str, str] = await database_sync_to_async(balance_for)(user, path)
    return found


async def standing(user: User, path: str) -> Standing:
    """Return what a person may do in a project at this moment."""
    try:
        await keys.aauthorize(user.pk, path)
    except RoleMayNotCall:
        return Standing.LOOKS
    except IdentityError:
        return Standing.NOTHING
    return Standing.CALLS
