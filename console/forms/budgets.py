"""Forms for the limits that a team's owners and admins set, and for what they are warned of."""

from typing import Any, Final

from django import forms
from django.utils.functional import cached_property

from console.access import Seat
from credits.admin.fields import DollarsField, PercentsField
from credits.budgets.limits import DEFAULT_ALERT_PERCENTS
from credits.budgets.rows import KEY, PROJECT
from credits.models import Budget

MAX_KEYS_OFFERED: Final = 300
_ALERTS_HELP: Final = "At these percentages an alert is sent, once in each period. Empty for none."
PERIODS: Final = [
    (Budget.Period.MONTH.value, "A month (UTC)"),
    (Budget.Period.DAY.value, "A day (UTC)"),
    (Budget.Period.TOTAL.value, "In all, for ever"),
]


class ThresholdsForm(forms.Form):
    """At which parts of a budget an alert is sent."""

    alert_percents = PercentsField(label="Alerts at %", help_text=_ALERTS_HELP)


class LimitForm(ThresholdsForm):
    """How much may be spent of a budget that is there."""

    limit = DollarsField(
        label="Limit in dollars", help_text="What was spent in the period already counts. 0 stops all spending."
    )
    field_order = ["limit", "alert_percents"]


class BudgetForm(LimitForm):
    """A new budget of one of the team's projects or keys."""

    owner = forms.ChoiceField(label="Whose spending", widget=forms.Select(attrs={"class": "select"}))
    period = forms.ChoiceField(label="Counted over", choices=PERIODS, widget=forms.Select(attrs={"class": "select"}))
    field_order = ["owner", "period", "limit", "alert_percents"]

    def __init__(self, seat: Seat, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["alert_percents"].initial = ",".join(map(str, DEFAULT_ALERT_PERCENTS))
        self._seat = seat
        chooser = self.fields["owner"]
        assert isinstance(chooser, forms.ChoiceField)
        chooser.choices = [("Projects", self._projects), ("API keys", self._keys)]

    def clean(self) -> dict[str, Any]:
        """A budget that is there is changed where it stands, by somebody who sees what it was."""
        cleaned = super().clean() or self.cleaned_data
        if "owner" in cleaned and "period" in cleaned:
            scope, reference = self.spends
            self.there = Budget.objects.filter(
                account=self._seat.team.pk, scope=scope, reference=reference, period=cleaned["period"]
            ).first()
            if self.there:
                self.add_error("owner", "It has a budget over this period: change that one.")
        return cleaned

    @property
    def spends(self) -> tuple[str, str]:
        """Return the scope and the reference of the chosen owner."""
        scope, _, reference = self.cleaned_data["owner"].partition(":")
        return scope, reference

    @cached_property
    def _projects(self) -> list[tuple[str, str]]:
        return [(f"{PROJECT}:{project.pk}", str(project)) for project in self._seat.projects()]

    @cached_property
    def _keys(self) -> list[tuple[str, str]]:
        keys = self._seat.keys().live()[:MAX_KEYS_OFFERED]
        return [(f"{KEY}:{key.pk}", f"{key.name} (parley_{key.pk[:4]}…)") for key in keys]


class LowBalanceForm(forms.Form):
    """Below which balance an alert is sent."""

    low_balance = DollarsField(
        label="Balance in dollars",
        help_text="When the balance falls below it, an alert is sent, once a day at most. 0 for none.",
    )


class AddressesForm(forms.Form):
    """Who is told besides the team's owners and admins."""

    addresses = forms.CharField(
        label="Other e-mail addresses",
        required=False,
        max_length=4_000,
        widget=forms.Textarea(attrs={"class": "textarea", "rows": 3, "autocomplete": "off", "spellcheck": "false"}),
        help_text="One on each line. Each is asked first, by e-mail.",
    )

    def clean_addresses(self) -> list[str]:
        """Take one address from each line."""
        return [line.strip() for line in self.cleaned_data["addresses"].splitlines() if line.strip()]
