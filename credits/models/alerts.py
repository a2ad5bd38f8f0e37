"""What a team is warned of, and who hears of it; ``credits.alerts`` reads and writes these."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from credits.fields import AmountField, whole
from credits.money import MAX_AMOUNT_NANO

# A total is the sum of many charges, each of which is sane: it may grow beyond one sane amount.
MAX_SPENT_NANO = 8 * MAX_AMOUNT_NANO


class Alert(models.Model):
    """A budget of which so much was spent, or a balance that fell below its mark: recorded once in each window.

    ``percent`` and ``budget`` are empty for a balance. A balance's window is the day.
    """

    account = models.ForeignKey("credits.Account", on_delete=models.PROTECT, related_name="alerts")
    budget = models.ForeignKey("credits.Budget", on_delete=models.CASCADE, null=True, blank=True, related_name="alerts")
    percent = AmountField(null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(100)])
    window_start = models.DateTimeField()
    limit_nano = AmountField(help_text="The budget's limit, or the balance's mark, at that time.")
    reached_nano = AmountField(help_text="What was spent of the budget, or the balance, at that time.")
    created_at = models.DateTimeField()
    attempts = AmountField(default=0, help_text="How often a process set out to send it.")
    due_at = models.DateTimeField(null=True, blank=True, help_text="Not to be sent before; empty: at once.")
    sent_at = models.DateTimeField(null=True, blank=True)
    sent_to = models.TextField(blank=True, default="", help_text="The addresses, by commas.")
    error = models.CharField(
        max_length=500, blank=True, default="", help_text="Why it could not be sent the last time."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["budget", "percent", "window_start"],
                condition=Q(budget__isnull=False),
                name="one_alert_per_threshold_and_window",
            ),
            models.UniqueConstraint(
                fields=["account", "window_start"], condition=Q(budget=None), name="one_low_balance_alert_a_day"
            ),
            models.CheckConstraint(
                condition=Q(budget=None, percent=None) | (Q(budget__isnull=False) & whole("percent", 1, 100)),
                name="alert_percent_is_sane",
            ),
            models.CheckConstraint(
                condition=whole("limit_nano", 0) & whole("reached_nano", 0, MAX_SPENT_NANO) & whole("attempts", 0),
                name="alert_amounts_are_sane",
            ),
        ]
        indexes = [models.Index(fields=["created_at"], condition=Q(sent_at=None), name="alerts_to_send")]

    def __str__(self) -> str:
        return f"{self.percent}% of {self.budget}" if self.budget else f"low balance of {self.account_id}"


class AlertAddress(models.Model):
    """Who hears of a team's alerts besides its owners and admins."""

    account = models.ForeignKey("credits.Account", on_delete=models.CASCADE, related_name="alert_addresses")
    email = models.EmailField()
    confirmed_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When its owner agreed; nothing is sent before."
    )

    class Meta:
        verbose_name_plural = "alert addresses"
        constraints = [models.UniqueConstraint(fields=["account", "email"], name="one_alert_address_per_team")]

    def __str__(self) -> str:
        return self.email


class AlertOptOut(models.Model):
    """An owner or admin who does not want to hear of a team's alerts."""

    account = models.ForeignKey("credits.Account", on_delete=models.CASCADE, related_name="alert_opt_outs")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "user"], name="one_alert_opt_out_per_person")]

    def __str__(self) -> str:
        return f"{self.user} without alerts"
