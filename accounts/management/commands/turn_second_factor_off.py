"""``manage.py turn_second_factor_off EMAIL``."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts import second_factor
from accounts.management.base import OperatorCommand, Outcome, find_user


class Command(OperatorCommand):
    """Lets a person who lost phone and recovery codes in with the password alone."""

    help = "Turn a person's second factor off; the password is then enough to sign in."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("email")
        super().add_arguments(parser)

    def perform(self, *, email: str, **options: Any) -> Outcome:
        """Turn it off."""
        user = find_user(email)
        if user is None:
            raise CommandError(f"There is no user {email!r}.")
        was_on = second_factor.is_on(user)
        second_factor.turn_off(user)
        verb = "is off now" if was_on else "was off already"
        return Outcome({"user": user.email, "was_on": was_on}, f"The second factor of {user} {verb}.")
