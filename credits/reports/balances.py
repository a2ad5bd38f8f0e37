"""What a team has and may still spend, as people are shown it."""

from dataclasses import dataclass

from django.db.models import Count, QuerySet, Sum
from django.utils import timezone

from credits.models import Account, Hold


@dataclass(frozen=True, slots=True)
class Balance:
    """A team's credits at one moment; amounts in nano-credits."""

    balance_nano: int
    held_nano: int
    hold_count: int

    @property
    def available_nano(self) -> int:
        """What a new hold may take."""
        return self.balance_nano - self.held_nano


def balance_of(team_id: int) -> Balance:
    """Return a team's balance. Overdue holds do not count: the ledger's next group of this account expires them."""
    balance_nano = Account.objects.filter(pk=team_id).values_list("balance_nano", flat=True).first() or 0
    held = open_holds(team_id).aggregate(total=Sum("amount_nano"), count=Count("pk"))
    # Two reads are two moments: a hold that was settled in between must not show as a debt.
    return Balance(balance_nano, min(held["total"] or 0, balance_nano), held["count"])


def uncharged_hold(team_id: int, run: str) -> Hold | None:
    """Return what was set aside for a run and never charged: given back, or overdue. The run may have left no trace."""
    holds = Hold.objects.filter(account=team_id, run=run)
    ended = holds.filter(state__in=["released", "expired"]).first()
    return ended or holds.filter(state=Hold.State.OPEN, expires_at__lte=timezone.now()).first()


def open_holds(team_id: int) -> QuerySet[Hold]:
    """Return what is set aside for runs under way, overdue holds left out."""
    return Hold.objects.filter(account=team_id, state=Hold.State.OPEN, expires_at__gt=timezone.now())
