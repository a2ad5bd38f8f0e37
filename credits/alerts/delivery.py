"""The alerts that are still to be sent, and what became of those that were.

An alert is sent at least once. A sender claims it before and notes its fate after; one that dies in between leaves a
claim that lapses, and then the alert is sent again. What cannot be sent within ``GIVE_UP_AFTER`` is old news.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import F, Q, QuerySet

from accounts.models import Team
from credits.budgets.limits import now
from credits.models import Account, Alert

# Longer than sending to a mail server may take.
CLAIM_SECONDS: Final = 600
FIRST_RETRY_SECONDS: Final = 15
MAX_RETRY_SECONDS: Final = 3_600
GIVE_UP_AFTER: Final = timedelta(days=3)
_MAX_ERROR_LENGTH: Final = 500


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


def note_told(claimed: Sequence[Alert], email: str) -> None:
    """Note that somebody was told of claimed alerts: whatever happens next, they are not told again."""
    for alert in claimed:
        alert.sent_to = f"{alert.sent_to}, {email}" if alert.sent_to else email
    Alert.objects.bulk_update(claimed, ["sent_to"])


def note_sent(claimed: Sequence[Alert]) -> None:
    """Note that everybody who was to be told of claimed alerts was; to nobody, if there was nobody."""
    _each(claimed).update(sent_at=now(), due_at=None, error="")


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
