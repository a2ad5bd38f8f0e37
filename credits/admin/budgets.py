"""Budgets in the admin panel; ``credits.budgets.limits`` writes them, and the panel's history keeps who did."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import DELETION, LogEntry
from django.http import HttpRequest
from django.utils.formats import date_format

from accounts.admin.base import Panel
from credits.admin.forms import BudgetForm, LimitForm, change_message
from credits.budgets import limits, owners
from credits.budgets.use import BudgetUse, use_of
from credits.errors import UnknownBudget
from credits.models import Budget
from credits.money import format_dollars, marked_dollars


@admin.register(Budget)
class BudgetPanel(Panel):
    """What a team, a project or a key may spend; the cap of a plan is changed with its plan."""

    list_display = ["whose", "period", "limit_dollars", "spent", "held", "left", "used", "origin"]
    list_filter = ["scope", "period", "origin"]
    list_select_related = ["account__team"]
    search_fields = ["=account__team__slug", "=reference"]
    ordering = ["account__team__slug", "scope", "reference", "period"]
    # Each is removed on a page of its own, which says what it limited.
    actions = None

    def get_form(self, request: HttpRequest, obj: Budget | None = None, change: bool = False, **kwargs: Any) -> Any:
        """Ask whose a new budget is; it stays theirs."""
        return super().get_form(request, obj, change, **kwargs, form=LimitForm if obj else BudgetForm)

    def get_fields(self, request: HttpRequest, obj: Budget | None = None) -> Any:
        """Show the use of a budget that is there."""
        if obj is None:
            return ["owner", "period", "limit", "alerts_at"]
        seen = ["whose", "period", "spent", "held", "left", "used", "resets"]
        can_change = self.has_change_permission(request, obj)
        return [*seen, *(["limit", "alerts_at"] if can_change else ["limit_dollars", "alert_percents"])]

    def get_readonly_fields(self, request: HttpRequest, obj: Budget | None = None) -> list[str]:
        """Let only the limit and the thresholds be written."""
        return [] if obj is None else ["whose", "period", "spent", "held", "left", "used", "resets", "limit_dollars"]

    def has_change_permission(self, request: HttpRequest, obj: Budget | None = None) -> bool:
        """Leave the cap of a plan to its plan."""
        return super().has_change_permission(request, obj) and not _is_cap(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Budget | None = None) -> bool:
        """Leave the cap of a plan to its plan."""
        return super().has_delete_permission(request, obj) and not _is_cap(obj)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Name whose budgets the page's are, all at once."""
        changelist = super().get_changelist_instance(request)
        names = owners.names(changelist.result_list)
        for budget in changelist.result_list:
            budget.owner_name = names[budget.pk]
        return changelist

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Ask nothing about its alerts: they go with it."""
        return [f"{owners.name(budget)}: {_described(budget)}" for budget in objs], {}, set(), []

    def save_model(self, request: HttpRequest, obj: Budget, form: Any, change: bool) -> None:
        """Set the budget through ``limits``, under the account's lock."""
        obj.pk = form.write().pk
        obj.refresh_from_db()

    def delete_model(self, request: HttpRequest, obj: Budget) -> None:
        """Remove the budget through ``limits``, under the account's lock."""
        # Somebody else removed it in this moment: it is gone, as was asked for.
        with suppress(UnknownBudget):
            limits.remove_budget(obj.account_id, obj.pk)

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """Keep the amounts in the history."""
        return change_message(form, {"limit": "Limit", "alerts_at": "Alerts at %"}, add=add)

    def log_deletions(self, request: HttpRequest, queryset: Iterable[Budget]) -> Any:
        """Keep in the history what was removed."""
        assert request.user.pk
        for budget in queryset:
            sentence = f"Removed: {owners.name(budget)}, {_described(budget)}."
            LogEntry.objects.log_actions(request.user.pk, [budget], DELETION, sentence, single_object=True)

    @admin.display(ordering="account__team__slug")
    def whose(self, budget: Any) -> str:
        """Return whose spending is limited."""
        return getattr(budget, "owner_name", None) or owners.name(budget)

    @admin.display(ordering="limit_nano", description="limit")
    def limit_dollars(self, budget: Budget) -> str:
        """Return the limit."""
        return marked_dollars(budget.limit_nano)

    @admin.display
    def spent(self, budget: Budget) -> str:
        """Return what was spent in the period that is now."""
        return marked_dollars(_use(budget).spent_nano)

    @admin.display(ordering="held_nano")
    def held(self, budget: Budget) -> str:
        """Return what is set aside for runs under way, overdue holds included."""
        return marked_dollars(budget.held_nano)

    @admin.display
    def left(self, budget: Budget) -> str:
        """Return what may still be spent."""
        return marked_dollars(_use(budget).left_nano)

    @admin.display
    def used(self, budget: Budget) -> str:
        """Return how much of it was spent."""
        return f"{_use(budget).percent}%"

    @admin.display(description="starts anew")
    def resets(self, budget: Budget) -> str:
        """Return when the next period begins."""
        resets_at = _use(budget).resets_at
        return date_format(resets_at, "DATETIME_FORMAT") if resets_at else "never"


def _is_cap(budget: Budget | None) -> bool:
    return budget is not None and budget.origin == Budget.Origin.PLAN


def _use(budget: Budget) -> BudgetUse:
    return use_of(budget, budget.held_nano)


def _described(budget: Budget) -> str:
    return f"{format_dollars(budget.limit_nano)} ({budget.get_period_display()})"
