"""What a team may spend: balances, holds and the appended entries that explain them; budgets and plans beside them.

All amounts are integers in nano-credits: 1 credit = 1 US dollar = 10^9 nano-credits. Only ``credits.ledger`` writes.
"""

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Team
from core.text import validate_line
from credits.fields import SANE, AmountField, is_month, whole
from credits.money import MAX_AMOUNT_NANO


class Plan(models.Model):
    """What a team gets each month, and the most it may spend in one; ``credits.budgets.limits.save_plan`` writes it."""

    name = models.CharField(max_length=64, unique=True, validators=[validate_line])
    monthly_grant_nano = AmountField(default=0, validators=SANE, help_text="Added to the balance once in each month.")
    monthly_cap_nano = AmountField(
        null=True, blank=True, validators=SANE, help_text="The most that is spent in a month; empty for no cap."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(condition=whole("monthly_grant_nano", 0), name="plan_grant_is_sane"),
            models.CheckConstraint(
                condition=Q(monthly_cap_nano=None) | whole("monthly_cap_nano", 0), name="plan_cap_is_sane"
            ),
            models.CheckConstraint(condition=~Q(name=""), name="plan_has_a_name"),
        ]

    def __str__(self) -> str:
        return self.name


class Account(models.Model):
    """A team's money; both columns are kept equal to what its entries and its open holds add up to."""

    team = models.OneToOneField(Team, on_delete=models.PROTECT, primary_key=True, related_name="account")
    balance_nano = AmountField(default=0)
    held_nano = AmountField(default=0)
    # The head of the chain of entries: how many there are, and the last one's hash.
    entry_count = AmountField(default=0)
    entry_hash = models.CharField(max_length=64, default="")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, null=True, blank=True, related_name="accounts")
    granted_month = models.CharField(
        max_length=7, default="", blank=True, help_text="The last month whose grant was given, as 2026-01."
    )
    low_balance_nano = AmountField(
        default=0, validators=SANE, help_text="An alert is recorded when the balance falls below it; 0 for none."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(held_nano__gte=0), name="account_held_not_negative"),
            models.CheckConstraint(condition=Q(balance_nano__gte=F("held_nano")), name="account_balance_covers_holds"),
            models.CheckConstraint(
                condition=whole("balance_nano", 0) & whole("held_nano", 0), name="account_amounts_are_sane"
            ),
            models.CheckConstraint(condition=whole("low_balance_nano", 0), name="account_low_balance_is_sane"),
            models.CheckConstraint(condition=whole("entry_count", 0), name="account_entry_count_is_sane"),
            models.CheckConstraint(
                condition=Q(granted_month="") | is_month("granted_month"), name="account_granted_month_is_one"
            ),
        ]

    def __str__(self) -> str:
        return f"account of {self.team}"

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
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="holds", db_index=False)
    amount_nano = AmountField()
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
            models.CheckConstraint(condition=whole("amount_nano", 0), name="hold_amount_is_sane"),
            models.CheckConstraint(
                condition=Q(state__in=["open", "settled", "released", "expired"]), name="hold_state_is_known"
            ),
        ]
        indexes = [
            models.Index(fields=["account", "expires_at"], condition=Q(state="open"), name="open_holds_by_expiry"),
            # For the few that ended without a charge; all the others pay nothing for it.
            models.Index(fields=["run"], condition=Q(state__in=["released", "expired"]), name="uncharged_holds_by_run"),
        ]

    def __str__(self) -> str:
        return f"{self.state} hold for {self.run}"

    @property
    def is_over(self) -> bool:
        """Whether it sets nothing aside any more: ended, or overdue and not yet expired by the ledger."""
        return self.state != self.State.OPEN or self.expires_at <= timezone.now()


class Entry(models.Model):
    """One movement of money: appended, never edited or deleted (triggers refuse it)."""

    class Kind(models.TextChoices):
        """Why the balance moved."""

        GRANT = "grant"
        CHARGE = "charge"
        CORRECTION = "correction"

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="entries", db_index=False)
    sequence = AmountField(help_text="1 for the account's first entry, then without a gap.")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    amount_nano = AmountField(help_text="Added to the balance; a charge is negative or zero.")
    lost_nano = AmountField(default=0, help_text="Part of a cost that no credits were left for.")
    balance_after_nano = AmountField()
    run = models.CharField(max_length=64, blank=True)
    price = models.CharField(max_length=64, blank=True)
    project = models.CharField(max_length=64, blank=True)
    key = models.CharField(max_length=64, blank=True)
    actor = models.CharField(max_length=254, blank=True, help_text="Who granted or corrected.")
    reason = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField()
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)

    class Meta:
        verbose_name_plural = "entries"
        constraints = [
            models.UniqueConstraint(fields=["account", "sequence"], name="one_entry_per_sequence"),
            models.UniqueConstraint(fields=["run"], condition=Q(kind="charge"), name="one_charge_per_run"),
            models.CheckConstraint(condition=Q(balance_after_nano__gte=0), name="entry_balance_not_negative"),
            models.CheckConstraint(condition=Q(lost_nano__gte=0), name="entry_loss_not_negative"),
            models.CheckConstraint(
                condition=Q(kind="grant", amount_nano__gt=0)
                | Q(kind="charge", amount_nano__lte=0)
                | (Q(kind="correction") & ~Q(amount_nano=0)),
                name="entry_amount_fits_its_kind",
            ),
            models.CheckConstraint(
                condition=whole("amount_nano", -MAX_AMOUNT_NANO)
                & whole("lost_nano", 0)
                & whole("balance_after_nano", 0)
                & whole("sequence", 1),
                name="entry_amounts_are_sane",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount_nano} (#{self.sequence})"


class MonthlyGrant(models.Model):
    """Says that an account's plan has given its grant for a month: once, whatever the plan is by then."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="monthly_grants")
    month = models.CharField(max_length=7, help_text="As 2026-01, in UTC.")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+")
    sequence = AmountField(help_text="The grant's place in the account's entries.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "month"], name="one_grant_per_month"),
            models.CheckConstraint(condition=is_month("month"), name="monthly_grant_month_is_one"),
            models.CheckConstraint(condition=whole("sequence", 1), name="monthly_grant_sequence_is_sane"),
        ]

    def __str__(self) -> str:
        return f"grant for {self.month}"
