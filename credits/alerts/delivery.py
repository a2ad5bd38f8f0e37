"""The doors of alerts: who hears of them, and who sends them.

An alert is sent at least once. A sender claims it before and notes its fate after; one that dies in between leaves a
claim that lapses, and then the alert is sent again. What cannot be sent within ``GIVE_UP_AFTER`` is old news.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, Q, QuerySet

from accounts.models import Membership, Team, User
from credits.budgets.limits import locked, now
from credits.errors import InvalidRecipients
from credits.models import Account, Alert, AlertAddress, AlertOptOut

MAX_ADDRESSES: Final = 10
# Longer than any conversation with a mail server.
CLAIM_SECONDS: Final = 600
FIRST_RETRY_SECONDS: Final = 15
MAX_RETRY_SECONDS: Final = 3_600
GIVE_UP_AFTER: Final = timedelta(days=3)
_MAX_ERROR_LENGTH: Final = 500


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


def pending() -> QuerySet[Alert]:
    """Return the alerts that are still to be sent, the oldest first."""
    return Alert.objects.filter(sent_at=None, created_at__gt=now() - GIVE_UP_AFTER).order_by("created_at", "pk")


def claim() -> list[Alert]:
    """Take the alerts of one team that are due, for CLAIM_SECONDS: nobody else gets them until then. None: nothing."""
    if not _due(now()).exists():
        return []
    with transaction.atomic():
        moment = now()
        # What another sender is about to claim is left to it.
        due = _due(moment).select_for_update(skip_locked=True, of=("self",))
        first = due.first()
        if first is None:
            return []
        claimed = list(due.filter(account=first.account_id).select_related("budget"))
        until = moment + timedelta(seconds=CLAIM_SECONDS)
        _each(claimed).update(due_at=until, attempts=F("attempts") + 1)
    for alert in claimed:
        alert.due_at, alert.attempts = until, alert.attempts + 1
    return claimed


def note_sent(claimed: Sequence[Alert], emails: Sequence[str]) -> None:
    """Note that claimed alerts were sent; to nobody, if there was nobody to be told."""
    _each(claimed).update(sent_at=now(), sent_to=", ".join(emails), due_at=None, error="")


def note_failed(claimed: Sequence[Alert], error: str) -> datetime:
    """Note why claimed alerts could not be sent, and return when they are due again: later after each attempt."""
    attempts = max(alert.attempts for alert in claimed)
    pause_seconds = min(FIRST_RETRY_SECONDS * 2 ** min(attempts - 1, 16), MAX_RETRY_SECONDS)
    due_at = now() + timedelta(seconds=pause_seconds)
    _each(claimed).update(due_at=due_at, error=error[:_MAX_ERROR_LENGTH])
    return due_at


def team_of(alert: Alert) -> Team:
    """Return whose alert it is."""
    return Account.objects.select_related("team").get(pk=alert.account_id).team


def _due(moment: datetime) -> QuerySet[Alert]:
    return pending().filter(Q(due_at=None) | Q(due_at__lte=moment))


def _each(alerts: Sequence[Alert]) -> QuerySet[Alert]:
    return Alert.objects.filter(pk__in=[alert.pk for alert in alerts], sent_at=None)
