"""Who hears of a team's alerts: its owners and admins, unless they opted out, and addresses that were added."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.core.exceptions import ValidationError

from accounts.models import Membership, User
from credits.budgets.limits import locked
from credits.errors import InvalidRecipients
from credits.models import AlertAddress, AlertOptOut

MAX_ADDRESSES: Final = 10


@dataclass(frozen=True, slots=True)
class Recipients:
    """Who hears of a team's alerts. ``managers`` are its active owners and admins, with whether each wants to."""

    managers: list[tuple[User, bool]]
    addresses: list[str]

    @property
    def emails(self) -> list[str]:
        """Everyone who is told, once."""
        return list(dict.fromkeys([*(user.email for user, is_told in self.managers if is_told), *self.addresses]))


def recipients(account_id: int) -> Recipients:
    """Return who hears of a team's alerts."""
    opted_out = set(AlertOptOut.objects.filter(account=account_id).values_list("user", flat=True))
    managers = User.objects.filter(
        is_active=True, memberships__team=account_id, memberships__role__in=Membership.MANAGING_ROLES
    ).order_by("email")
    addresses = AlertAddress.objects.filter(account=account_id).order_by("email").values_list("email", flat=True)
    return Recipients([(user, user.pk not in opted_out) for user in managers], list(addresses))


def set_addresses(account_id: int, addresses: Sequence[str]) -> list[str]:
    """Say who is told besides the owners and admins. Raises InvalidRecipients or UnknownAccount."""
    wanted = sorted({address.strip().lower() for address in addresses})
    if len(wanted) > MAX_ADDRESSES:
        raise InvalidRecipients(f"At most {MAX_ADDRESSES} addresses are told.")
    for address in wanted:
        try:
            AlertAddress(email=address).clean_fields(exclude=["account"])
        except ValidationError as error:
            raise InvalidRecipients(f"{address!r} is not an e-mail address.") from error
    with locked(account_id):
        AlertAddress.objects.filter(account=account_id).delete()
        AlertAddress.objects.bulk_create(AlertAddress(account_id=account_id, email=address) for address in wanted)
    return wanted


def set_opt_out(account_id: int, user_id: int, *, is_told: bool) -> None:
    """Let an owner or admin hear of the team's alerts, or not. Raises InvalidRecipients or UnknownAccount."""
    with locked(account_id):
        if is_told:
            AlertOptOut.objects.filter(account=account_id, user=user_id).delete()
        elif Membership.objects.filter(team=account_id, user=user_id, role__in=Membership.MANAGING_ROLES).exists():
            AlertOptOut.objects.get_or_create(account_id=account_id, user_id=user_id)
        else:
            raise InvalidRecipients("Only an owner or admin hears of alerts without having been named.")
