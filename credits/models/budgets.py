"""What limits the spending of a team, a project or a key; ``credits.budgets.limits`` sets it."""

from datetime import UTC, datetime

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from core.text import validate_line
from credits.fields import LAST_WINDOW, SANE, AmountField, whole
from credits.models.alerts import MAX_SPENT_NANO

# Percentages from 1 to 100, by commas: "50,80,90,100". Empty for none.
_PERCENTS = r"^(([1-9][0-9]?|100)(,([1-9][0-9]?|100))*)?$"


class Budget(models.Model):
    """A limit on what a team, one of its projects or one of its keys spends in all, in a day or in a month.

    ``spent_nano`` is what was charged since ``window_start``; ``held_nano`` is what open holds set aside, whenever
    they were taken. Windows are UTC, by the database's clock, and move when the budget is next touched.
    """

    class Scope(models.TextChoices):
        """Whose spending is limited; rows are locked in this order."""

        TEAM = "team"
        PROJECT = "project"
        KEY = "key"

    class Period(models.TextChoices):
        """How long a window is; a total has one window, which never ends."""

        TOTAL = "total"
        DAY = "day"
        MONTH = "month"

    class Origin(models.TextChoices):
        """Whether somebody set it, or it is the cap of the team's plan."""

        SET = "set"
        PLAN = "plan"

    account = models.ForeignKey("credits.Account", on_delete=models.PROTECT, related_name="budgets")
    scope = models.CharField(max_length=7, choices=Scope.choices)
    reference = models.CharField(
        max_length=64,
        blank=True,
        validators=[validate_line],
        help_text="Id of the project or the key; none for a team.",
    )
    period = models.CharField(max_length=5, choices=Period.choices)
    origin = models.CharField(max_length=4, choices=Origin.choices, default=Origin.SET)
    limit_nano = AmountField(validators=SANE)
    window_start = models.DateTimeField()
    spent_nano = AmountField(default=0)
    held_nano = AmountField(default=0)
    alert_percents = models.CharField(
        max_length=64,
        blank=True,
        default="50,80,90,100",
        validators=[RegexValidator(_PERCENTS, "Use whole percentages from 1 to 100, separated by commas.")],
        help_text="When so much of it is spent, an alert is recorded.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "scope", "reference", "period", "origin"], name="one_budget_per_scope_and_period"
            ),
            models.CheckConstraint(condition=whole("limit_nano", 0), name="budget_limit_is_sane"),
            models.CheckConstraint(
                condition=whole("spent_nano", 0, MAX_SPENT_NANO) & whole("held_nano", 0), name="budget_use_is_sane"
            ),
            models.CheckConstraint(
                condition=Q(scope="team", reference="") | (Q(scope__in=["project", "key"]) & ~Q(reference="")),
                name="budget_names_whose_it_is",
            ),
            models.CheckConstraint(condition=Q(period__in=["total", "day", "month"]), name="budget_period_is_known"),
            models.CheckConstraint(condition=Q(origin__in=["set", "plan"]), name="budget_origin_is_known"),
            models.CheckConstraint(
                condition=Q(window_start__gte=datetime(1970, 1, 1, tzinfo=UTC), window_start__lt=LAST_WINDOW),
                name="budget_window_is_sane",
            ),
            models.CheckConstraint(condition=Q(alert_percents__regex=_PERCENTS), name="budget_alerts_are_percents"),
        ]
        indexes = [models.Index(fields=["account", "reference"], name="budgets_by_reference")]

    def __str__(self) -> str:
        return f"{self.period} budget of {self.scope} {self.reference}".rstrip()

    @property
    def available_nano(self) -> int:
        """What a new hold may still take of it in the window that was last seen; never negative."""
        return max(self.limit_nano - self.spent_nano - self.held_nano, 0)
