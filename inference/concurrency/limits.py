"""How many requests may be in flight at once, for each project and each user.

Operators' limits are kept in memory like the catalogue: the hot path never asks the database, and a change made
anywhere is seen within one second (``core.changes``).
"""

from typing import NamedTuple

from channels.db import database_sync_to_async
from django.conf import settings

from accounts.caller import Caller
from core import changes
from inference.catalog.snapshots import TOPIC
from inference.models import ConcurrencyLimit


class Limits(NamedTuple):
    """Requests in flight at most: all of the project's together, and all of the user's in whatever project."""

    project: int
    user: int


class _Memory:
    """What operators set, by project and by user, and the stamp under which it is still true."""

    stamp: int | None = None
    projects: dict[int, int] = {}
    users: dict[int, int] = {}


async def limits_of(caller: Caller) -> Limits:
    """Return the limits that hold for a caller now; where operators set none, those of the settings."""
    stamp = changes.stamp(TOPIC)
    projects, users = _Memory.projects, _Memory.users
    if stamp is None or stamp != _Memory.stamp:
        projects, users = await database_sync_to_async(_load)()
        _Memory.stamp, _Memory.projects, _Memory.users = stamp, projects, users
    return Limits(
        projects.get(caller.project_id, settings.PROJECT_CONCURRENCY),
        users.get(caller.user_id, settings.USER_CONCURRENCY),
    )


def _load() -> tuple[dict[int, int], dict[int, int]]:
    projects, users = {}, {}
    for project_id, user_id, requests in ConcurrencyLimit.objects.values_list("project_id", "user_id", "requests"):
        if project_id:
            projects[project_id] = requests
        else:
            users[user_id] = requests
    return projects, users
