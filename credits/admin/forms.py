"""Forms of the admin panel for limits; ``credits.ledger`` writes what they say."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounts.models import Team
from credits.admin.fields import DollarsField, PercentsField
from credits.budgets import limits, owners
from credits.budgets.limits import DEFAULT_ALERT_PERCENTS
from credits.budgets.owners import BudgetOwner
from credits.errors import InvalidBudget
from credits.models import Account, Budget, Plan


class LimitForm(forms.ModelForm):  # type: ignore[type-arg] # not generic at run time
    """How much may be spent of a budget that is there, and who is warned when."""

    limit = DollarsField(
        label="Limit in dollars", help_text="What was spent in the period already counts. 0 stops all spending."
    )
    alerts_at = PercentsField(
        label="Alerts at %", help_text="At these percentages an e-mail is sent, once in each period. Empty for none."
    )

    class Meta:
        model = Budget
        fields: list[str] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            percents = [int(percent) for percent in self.instance.alert_percents.split(",") if percent]
            self.initial.update(limit=self.instance.limit_nano, alerts_at=percents)

    def owner_of_budget(self) -> BudgetOwner:
        """Return whose budget it is."""
        return BudgetOwner(self.instance.account_id, self.instance.scope, self.instance.reference)

    def write(self) -> Budget:
        """Set the budget."""
        account_id, scope, reference = self.owner_of_budget()
        return limits.set_budget(
            account_id,
            scope=scope,
            reference=reference,
            period=self.instance.period,
            limit_nano=self.cleaned_data["limit"],
            alert_percents=self.cleaned_data["alerts_at"],
        )


class BudgetForm(LimitForm):
    """A new budget."""

    owner = forms.CharField(
        label="Whose spending",
        max_length=129,
        help_text="A team, a project as team/project, or an API key by its id (the 12 characters after parley_).",
    )

    class Meta:
        model = Budget
        fields = ["period"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("alerts_at", list(DEFAULT_ALERT_PERCENTS))

    def clean_owner(self) -> BudgetOwner:
        """Find who is meant."""
        try:
            return owners.find(self.cleaned_data["owner"])
        except InvalidBudget as error:
            raise ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        """Refuse a second budget of the same kind: the first one is there to be changed."""
        cleaned = super().clean() or self.cleaned_data
        if {"owner", "period"} <= cleaned.keys():
            account_id, scope, reference = cleaned["owner"]
            there = Budget.objects.filter(account=account_id, scope=scope, reference=reference)
            if there.filter(period=cleaned["period"], origin=Budget.Origin.SET).exists():
                raise ValidationError("There is such a budget already: change that one.")
        return cleaned

    def owner_of_budget(self) -> BudgetOwner:
        """Return whose budget it is."""
        owner: BudgetOwner = self.cleaned_data["owner"]
        return owner


class PlanForm(forms.ModelForm):  # type: ignore[type-arg] # not generic at run time
    """What a plan gives, and where it ends."""

    grant = DollarsField(
        label="Free grant each month, in dollars", help_text="Given once a month. A change counts from the next month."
    )
    cap = DollarsField(
        label="Cap each month, in dollars",
        required=False,
        help_text="The most that a team spends in a month, at once for all that have the plan. Empty for no cap.",
    )

    class Meta:
        model = Plan
        fields = ["name"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.update(grant=self.instance.monthly_grant_nano, cap=self.instance.monthly_cap_nano)

    def write(self) -> Plan:
        """Save the plan, and its cap for every team that has it."""
        wanted = self.cleaned_data
        return limits.save_plan(
            wanted["name"],
            monthly_grant_nano=wanted["grant"],
            monthly_cap_nano=wanted["cap"],
            plan_id=self.instance.pk,
        )


class GivePlanForm(forms.Form):
    """Which team gets which plan."""

    team = forms.ModelChoiceField(Team.objects.order_by("slug"))
    plan = forms.ModelChoiceField(
        Plan.objects.order_by("name"),
        required=False,
        empty_label="No plan",
        help_text="Its cap holds at once; its grant is given at once too, unless this month had one already.",
    )

    def write(self) -> tuple[Account, str]:
        """Give the plan; return the account, and a sentence about what was done."""
        team, plan = self.cleaned_data["team"], self.cleaned_data["plan"]
        before = Plan.objects.filter(accounts=team.pk).first()
        account = limits.set_plan(team.pk, plan.pk if plan else None)
        return account, f"Plan: {before or 'none'} → {plan or 'none'}."


def change_message(form: Any, names: dict[str, str], *, add: bool) -> str:
    """Say what each field was, and what it is, as it would be typed."""
    sentences = []
    for name, label in names.items():
        if add or name in form.changed_data:
            field = form.fields[name]
            before = "none" if add else field.prepare_value(form.initial.get(name)) or "none"
            sentences.append(f"{label}: {before} → {field.prepare_value(form.cleaned_data[name]) or 'none'}.")
    return " ".join(sentences)
