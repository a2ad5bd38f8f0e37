"""Who hears of a team's alerts: its owners and admins, unless they opted out, and addresses that were added."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.core import signing
from django.core.exceptions import ValidationError

from accounts.models import Membership, User
from accounts.throttle import Throttle
from credits.budgets.limits import locked, now
from credits.errors import InvalidRecipients
from credits.models import AlertAddress, AlertOptOut

MAX_ADDRESSES: Final = 10
_SALT: Final = "credits.alerts"

# Of one team in an hour: each new address is sent an e-mail that nobody there asked for.
_asking = Throttle("alert-address", 30, 3_600)


@dataclass(frozen=True, slots=True)
class Recipients:
    """Who hears of a team's alerts.

    ``managers`` are its active owners and admins, with whether each wants to; ``named`` are other addresses, with
    whether their owners agreed.
    """

    managers: list[tuple[User, bool]]
    named: list[tuple[str, bool]]

    @property
    def addresses(self) -> list[str]:
        """The other addresses."""
        return [email for email, _ in self.named]

    @property
    def emails(self) -> list[str]:
        """Everyone who is told, once."""
        told = [user.email for user, is_told in self.managers if is_told]
        return list(dict.fromkeys([*told, *(email for email, is_confirmed in self.named if is_confirmed)]))


def recipients(account_id: int) -> Recipients:
    """Return who hears of a team's alerts."""
    opted_out = set(AlertOptOut.objects.filter(account=account_id).values_list("user", flat=True))
    managers = User.objects.filter(
        is_active=True, memberships__team=account_id, memberships__role__in=Membership.MANAGING_ROLES
    ).order_by("email")
    named = AlertAddress.objects.filter(account=account_id).order_by("email").values_list("email", "confirmed_at")
    return Recipients(
        [(user, user.pk not in opted_out) for user in managers],
        [(email, confirmed_at is not None) for email, confirmed_at in named],
    )


def set_addresses(account_id: int, addresses: Sequence[str]) -> list[str]:
    """Say who is told besides the owners and admins, and return the addresses that are new: they have to agree first.

    Raises InvalidRecipients or UnknownAccount.
    """
    wanted = sorted({address.strip().lower() for address in addresses})
    if len(wanted) > MAX_ADDRESSES:
        raise InvalidRecipients(f"At most {MAX_ADDRESSES} addresses are told.")
    for address in wanted:
        try:
            AlertAddress(email=address).clean_fields(exclude=["account"])
        except ValidationError as error:
            raise InvalidRecipients(f"{address!r} is not an e-mail address.") from error
    with locked(account_id):
        named = AlertAddress.objects.filter(account=account_id)
        named.exclude(email__in=wanted).delete()
        new = sorted(set(wanted) - set(named.values_list("email", flat=True)))
        if any(_asking.take(str(account_id)) for _ in new):
            raise InvalidRecipients("That is enough new addresses for now. Try again later.")
        AlertAddress.objects.bulk_create(AlertAddress(account_id=account_id, email=address) for address in new)
    return new


def token_of(account_id: int, email: str) -> str:
    """Return what the link has in it by which an address agrees, or wants no alerts any more."""
    return signing.dumps([account_id, email], salt=_SALT)


def address_of(token: str) -> AlertAddress | None:
    """Return the address of such a link, as long as the team names it."""
    try:
        account_id, email = signing.loads(token, salt=_SALT)
    except signing.BadSignature:
        return None
    return AlertAddress.objects.select_related("account__team").filter(account=account_id, email=email).first()


def confirm(address: AlertAddress) -> None:
    """Note that the address's owner agreed."""
    AlertAddress.objects.filter(pk=address.pk, confirmed_at=None).update(confirmed_at=now())


def set_opt_out(account_id: int, user_id: int, *, is_told: bool) -> None:
    """Let an owner or admin hear of the team's alerts, or not. Raises InvalidRecipients or UnknownAccount."""
    with locked(account_id):
        if is_told:
            AlertOptOut.objects.filter(account=account_id, user=user_id).delete()
        elif Membership.objects.filter(team=account_id, user=user_id, role__in=Membership.MANAGING_ROLES).exists():
            AlertOptOut.objects.get_or_create(account_id=account_id, user_id=user_id)
        else:
            raise InvalidRecipients("Only an owner or admin hears of alerts without having been named.")
