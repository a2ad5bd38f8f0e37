"""What a team may spend: balances, holds and the appended entries that explain them.

All amounts are integers in nano-credits: 1 credit = 1 US dollar = 10^9 nano-credits. Only ``credits.ledger`` writes.
"""

import uuid

from django.db import models
from django.db.models import F, Q

from accounts.models import Team

NANO = 1_000_000_000


class Account(models.Model):
    """A team's money; both columns are kept equal to what its entries and its open holds add up to."""

    team = models.OneToOneField(Team, on_delete=models.PROTECT, primary_key=True, related_name="account")
    balance_nano = models.BigIntegerField(default=0)
    held_nano = models.BigIntegerField(default=0)
    # The head of the chain of entries: how many there are, and the last one's hash.
    entry_count = models.BigIntegerField(default=0)
    entry_hash = models.CharField(max_length=64, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(held_nano__gte=0), name="account_held_not_negative"),
            models.CheckConstraint(condition=Q(balance_nano__gte=F("held_nano")), name="account_balance_covers_holds"),
        ]

    def __str__(self) -> str:
        return f"account of {self.team_id}"

    @property
    def available_nano(self) -> int:
        """What a new hold may still take."""
        return self.balance_nano - self.held_nano


class Hold(models.Model):
    """An amount set aside for one run: the upper bound of what may be delivered before the next extension."""

    class State(models.TextChoices):
        """A hold is open until it ends, exactly once."""

        OPEN = "open"
        SETTLED = "settled"
        RELEASED = "released"
        EXPIRED = "expired"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="holds")
    amount_nano = models.BigIntegerField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    run = models.CharField(max_length=64, help_text="What the credits are held for.")
    project = models.CharField(max_length=64, help_text="Id of the project that spends.")
    key = models.CharField(max_length=64, blank=True, help_text="Id of the API key that spends, if one does.")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_nano__gte=0), name="hold_amount_not_negative"),
            models.CheckConstraint(
                condition=Q(state__in=["open", "settled", "released", "expired"]), name="hold_state_is_known"
            ),
        ]
        indexes = [
            models.Index(fields=["account", "expires_at"], condition=Q(state="open"), name="open_holds_by_expiry")
        ]

    def __str__(self) -> str:
        return f"{self.state} hold for {self.run}"


class Entry(models.Model):
    """One movement of money: appended, never edited or deleted (triggers refuse it)."""

    class Kind(models.TextChoices):
        """Why the balance moved."""

        GRANT = "grant"
        CHARGE = "charge"
        CORRECTION = "correction"

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="entries")
    sequence = models.BigIntegerField(help_text="1 for the account's first entry, then without a gap.")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    amount_nano = models.BigIntegerField(help_text="Added to the balance; a charge is negative or zero.")
    lost_nano = models.BigIntegerField(default=0, help_text="Part of a cost that no credits were left for.")
    balance_after_nano = models.BigIntegerField()
    run = models.CharField(max_length=64, blank=True)
    price = models.CharField(max_length=64, blank=True)
    project = models.CharField(max_length=64, blank=True)
    key = models.CharField(max_length=64, blank=True)
    actor = models.CharField(max_length=254, blank=True, help_text="Who granted or corrected.")
    reason = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField()
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64, unique=True)

    class Meta:
        verbose_name_plural = "entries"
        constraints = [
            models.UniqueConstraint(fields=["account", "sequence"], name="one_entry_per_sequence"),
            models.UniqueConstraint(fields=["run"], condition=Q(kind="charge"), name="one_charge_per_run"),
            models.CheckConstraint(condition=Q(balance_after_nano__gte=0), name="entry_balance_not_negative"),
            models.CheckConstraint(condition=Q(lost_nano__gte=0), name="entry_loss_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount_nano} (#{self.sequence})"
