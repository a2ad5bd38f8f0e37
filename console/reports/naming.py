"""What the ledger's opaque ids are called: it knows projects and keys as strings only."""

from collections.abc import Iterable
from typing import Final

from console.access import Seat

BROWSER: Final = "browser"


class Names:
    """A team's projects, and those of its keys that a page shows."""

    def __init__(self, seat: Seat, key_ids: Iterable[str] = ()) -> None:
        self._projects = {str(project.pk): project.slug for project in seat.projects()}
        wanted = {key_id for key_id in key_ids if key_id}
        self._keys = dict(seat.team.api_keys.filter(pk__in=wanted).values_list("pk", "name")) if wanted else {}

    def project(self, project_id: object) -> str:
        """Return a project's name; an id that is not the team's stays as it is."""
        return self._projects.get(str(project_id), str(project_id))

    def key(self, key_id: str) -> str:
        """Return a key's name; what was spent without one was spent in the browser."""
        return self._keys.get(key_id, f"parley_{key_id}…") if key_id else BROWSER
