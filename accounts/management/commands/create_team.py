"""``manage.py create_team NAME --owner EMAIL``."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.management.base import OperatorCommand, Outcome, checked_slug, find_user
from accounts.models import DEFAULT_PROJECT, Team, User


class Command(OperatorCommand):
    """Makes a team with its owner and its default project."""

    help = "Make a team, its owner and its default project. An owner not known yet is made too, without a password."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("name", help="lower-case letters, digits, dots, dashes and underscores")
        parser.add_argument("--owner", required=True, metavar="EMAIL", help="who owns it")
        super().add_arguments(parser)

    def perform(self, *, name: str, owner: str, **options: Any) -> Outcome:
        """Make the team, and the owner if need be."""
        if Team.objects.filter(slug=checked_slug(name)).exists():
            raise CommandError(f"There is already a team {name!r}.")
        user = find_user(owner)
        is_new = user is None
        user = user or User.objects.create_user(owner)
        if not user.is_active:
            raise CommandError(f"The user {user} is inactive.")
        Team.objects.create_with_owner(name, user)
        values: dict[str, str | bool | None] = {
            "team": name,
            "project": f"{name}/{DEFAULT_PROJECT}",
            "owner": user.email,
            "owner_created": is_new,
        }
        sentence = f"Made the team {name} with the project {name}/{DEFAULT_PROJECT}, owned by {user}."
        if is_new:
            sentence += f"\nMade the user {user} too, without a password: `manage.py changepassword {user}` sets one."
        return Outcome(values, sentence)
