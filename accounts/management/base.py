"""What the operators' commands share: ``--json``, all or nothing, and plain sentences for what went wrong."""

import json
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import IntegrityError, transaction

from accounts.models import Project, Team, User, valid_slug
from core.text import escaped


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did: for programs, and for people."""

    values: dict[str, str | bool | None]
    sentence: str


class OperatorCommand(BaseCommand):
    """A command whose ``perform`` runs in one transaction."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare ``--json``; a command declares its own and calls this."""
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Perform the command and print its outcome."""
        try:
            with transaction.atomic():
                outcome = self.perform(**options)
        except ValidationError as error:
            raise CommandError(escaped(" ".join(error.messages))) from error
        except IntegrityError as error:
            raise CommandError("Someone else made the same at this moment; nothing was changed.") from error
        self.stdout.write(json.dumps(outcome.values) if options["json"] else escaped(outcome.sentence, keep="\n"))

    def perform(self, *args: Any, **options: Any) -> Outcome:
        """Do what the command is for. Raises CommandError or ValidationError."""
        raise NotImplementedError


def split_path(path: str) -> tuple[str, str]:
    """Take ``TEAM/PROJECT`` apart. Raises CommandError."""
    team, slash, project = path.partition("/")
    if not (slash and team and project) or "/" in project:
        raise CommandError(f"Write {path!r} as TEAM/PROJECT.")
    return checked_slug(team), checked_slug(project)


def checked_slug(text: str) -> str:
    """Return a text that can name a team or project. Raises CommandError."""
    try:
        valid_slug(text)
    except ValidationError as error:
        raise CommandError(f"{text!r} cannot be a name. {' '.join(error.messages)}") from error
    return text


def find_team(slug: str) -> Team:
    """Return an existing team. Raises CommandError."""
    team = Team.objects.filter(slug=checked_slug(slug)).first()
    if team is None:
        raise CommandError(f"There is no team {slug!r}.")
    return team


def find_project(path: str) -> Project:
    """Return an existing project by its full name. Raises CommandError."""
    team, slug = split_path(path)
    project = find_team(team).projects.select_related("team").filter(slug=slug).first()
    if project is None:
        raise CommandError(f"There is no project {path!r}.")
    return project


def find_user(email: str) -> User | None:
    """Return the user with this e-mail address, whatever its case."""
    return User.objects.filter(email=email.lower()).first()
