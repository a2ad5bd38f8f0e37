"""Who calls, and in which project: what every other room knows of a caller."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller; ``team`` and ``project`` are slugs, ``key_id`` is empty for the browser."""

    team_id: int
    team: str
    project_id: int
    project: str
    user_id: int
    key_id: str
    team_enabled: bool

    @property
    def path(self) -> str:
        """The project's full name, ``team/project``."""
        return f"{self.team}/{self.project}"
