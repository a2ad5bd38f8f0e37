"""``manage.py create_key TEAM/PROJECT --name NAME``."""

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts import keys
from accounts.management.base import OperatorCommand, Outcome, find_project, find_user
from accounts.models import Membership, Team, User

MAX_DAYS = 36_500


class Command(OperatorCommand):
    """Makes an API key and shows its secret, this once."""

    help = "Make an API key for a project, or with --team-wide for all of its team; the secret is shown only now."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("path", metavar="TEAM/PROJECT")
        parser.add_argument("--name", required=True, help="what the key is for")
        parser.add_argument("--issuer", metavar="EMAIL", help="whom it speaks for (the team's first active owner)")
        parser.add_argument("--team-wide", action="store_true", help="for every project of the team")
        parser.add_argument("--expires-in-days", type=int, metavar="N", help="when it stops working (never)")
        super().add_arguments(parser)

    def perform(
        self, *, path: str, name: str, issuer: str | None, team_wide: bool, expires_in_days: int | None, **options: Any
    ) -> Outcome:
        """Make the key."""
        if expires_in_days is not None and not 1 <= expires_in_days <= MAX_DAYS:
            raise CommandError(f"A key lives for 1 to {MAX_DAYS} days.")
        project = find_project(path)
        key, secret = keys.create(
            name=name,
            issuer=_issuer(project.team, issuer),
            team=project.team,
            project=None if team_wide else project,
            expires_at=timezone.now() + timedelta(days=expires_in_days) if expires_in_days else None,
        )
        scope = f"the team {project.team}" if team_wide else f"the project {path}"
        values: dict[str, str | bool | None] = {
            "api_key": secret,
            "id": key.id,
            "name": key.name,
            "team": project.team.slug,
            "project": None if team_wide else path,
            "issuer": key.issuer.email,
            "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        }
        return Outcome(values, f"Made a key for {scope}, issued by {key.issuer}. It is not shown again:\n{secret}")


def _issuer(team: Team, email: str | None) -> User:
    """Find who the key shall speak for; ``keys.create`` judges whether that person may call. Raises CommandError."""
    if email is not None:
        user = find_user(email)
        if user is None:
            raise CommandError(f"There is no user {email!r}.")
        return user
    owners = team.memberships.filter(role=Membership.Role.OWNER, user__is_active=True).select_related("user")
    first = owners.order_by("pk").first()
    if first is None:
        raise CommandError(f"The team {team} has no active owner: name the issuer with --issuer.")
    return first.user
