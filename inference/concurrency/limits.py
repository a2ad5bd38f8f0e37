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


class ConcurrencyLimits:
    """What operators set, by project and by user, as it was read last; where they set none, the settings decide."""

    def __init__(self) -> None:
        # Under this stamp it is still true.
        self._stamp: int | None = None
        self._projects: dict[int, int] = {}
        self._users: dict[int, int] = {}
        self.read_settings()

    def read_settings(self) -> None:
        """Take what holds where operators set nothing."""
        self._default = Limits(settings.PROJECT_CONCURRENCY, settings.USER_CONCURRENCY)

    async def of(self, caller: Caller) -> Limits:
        """Return the limits that hold for a caller now. Asks the database only after a change."""
        stamp = changes.stamp(TOPIC)
        projects, users = self._projects, self._users
        if stamp is None or stamp != self._stamp:
            projects, users = await database_sync_to_async(_load)()
            self._stamp, self._projects, self._users = stamp, projects, users
        return Limits(
            projects.get(caller.project_id, self._default.project), users.get(caller.user_id, self._default.user)
        )


def _load() -> tuple[dict[int, int], dict[int, int]]:
    projects, users = {}, {}
    for project_id, user_id, requests in ConcurrencyLimit.objects.values_list("project_id", "user_id", "requests"):
        if project_id:
            projects[project_id] = requests
        else:
            users[user_id] = requests
    return projects, users
