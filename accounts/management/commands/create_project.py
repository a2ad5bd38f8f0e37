"""``manage.py create_project TEAM/PROJECT``."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.management.base import OperatorCommand, Outcome, find_team, split_path


class Command(OperatorCommand):
    """Makes a project in a team."""

    help = "Make a project in a team."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("path", metavar="TEAM/PROJECT")
        super().add_arguments(parser)

    def perform(self, *, path: str, **options: Any) -> Outcome:
        """Make the project."""
        team_slug, slug = split_path(path)
        team = find_team(team_slug)
        if team.projects.filter(slug=slug).exists():
            raise CommandError(f"There is already a project {path!r}.")
        team.projects.create(slug=slug)
        return Outcome({"project": path}, f"Made the project {path}.")
