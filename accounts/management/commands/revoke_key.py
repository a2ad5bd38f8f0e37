"""``manage.py revoke_key KEY``."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts import key_format
from accounts.management.base import OperatorCommand, Outcome
from accounts.models import ApiKey

# Shorter beginnings are too easily somebody else's key.
MIN_PREFIX = 4


class Command(OperatorCommand):
    """Ends a key's power, in every process within a second."""

    help = "Revoke an API key; revoking it again changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "key", help="its id, the beginning of its id (with or without parley_), or the whole secret"
        )
        super().add_arguments(parser)

    def perform(self, *, key: str, **options: Any) -> Outcome:
        """Revoke the key."""
        found = _by_secret(key) if len(key) > len(key_format.PREFIX) + key_format.ID_LENGTH + 1 else _by_id(key)
        was_revoked = found.revoked_at is not None
        found.revoke()
        assert found.revoked_at is not None, "a key stays revoked"
        values: dict[str, str | bool | None] = {
            "id": found.id,
            "name": found.name,
            "revoked_at": found.revoked_at.isoformat(),
            "already_revoked": was_revoked,
        }
        moment = f"{found.revoked_at:%Y-%m-%d %H:%M:%S} UTC"
        verb = "was already revoked at" if was_revoked else "is revoked since"
        return Outcome(values, f"The key {found} {verb} {moment}.")


def _by_secret(secret: str) -> ApiKey:
    """Find the key by its whole secret, never repeating it. Raises CommandError."""
    if not key_format.is_well_formed(secret):
        raise CommandError("This secret is mistyped. The key's id is enough.")
    key = ApiKey.objects.filter(digest=key_format.digest(secret)).first()
    if key is None:
        raise CommandError("There is no key with this secret.")
    return key


def _by_id(text: str) -> ApiKey:
    """Find the one key whose id begins so. Raises CommandError."""
    beginning = text.removeprefix(key_format.PREFIX).rstrip("_…")
    if len(beginning) < MIN_PREFIX:
        raise CommandError(f"Give at least {MIN_PREFIX} characters of the key's id.")
    # SQLite compares beginnings without regard to case, but ids differ by case.
    found = [key for key in ApiKey.objects.filter(id__startswith=beginning) if key.id.startswith(beginning)]
    if not found:
        raise CommandError(f"There is no key whose id begins with {beginning!r}.")
    if len(found) > 1:
        raise CommandError(f"{len(found)} keys begin with {beginning!r}: give more of the id.")
    return found[0]
