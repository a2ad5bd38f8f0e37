"""Budgets of projects and keys, set by a team's owners and admins; of the team's own only the thresholds."""

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from console.access import Seat, get_managed_seat, login_required
from console.forms.budgets import BudgetForm, LimitForm, ThresholdsForm
from console.reports import billing
from console.reports.naming import Names
from console.views.pages import page
from credits.budgets import limits
from credits.budgets.use import use_of
from credits.errors import LedgerError, UnknownBudget
from credits.models import Budget
from credits.money import format_dollars


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def add_budget(request: HttpRequest, team: str) -> HttpResponse:
    """Show the form for a new budget, or set it."""
    seat = get_managed_seat(request, team)
    if request.method != "POST":
        return _draw_new(request, seat, BudgetForm(seat, initial={"owner": request.GET.get("owner", "")}))
    form = BudgetForm(seat, request.POST)
    if not form.is_valid():
        return _draw_new(request, seat, form, status=400)
    scope, reference = form.spends
    try:
        budget = limits.set_budget(
            seat.team.pk,
            scope=scope,
            reference=reference,
            period=form.cleaned_data["period"],
            limit_nano=form.cleaned_data["limit"],
            alert_percents=form.cleaned_data["alert_percents"],
        )
    except LedgerError as error:
        form.add_error(None, str(error))
        return _draw_new(request, seat, form, status=400)
    return _done(request, seat, f"Set to {format_dollars(budget.limit_nano)}; {_spent(budget)} of it is spent.")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def change_budget(request: HttpRequest, team: str, budget_id: int) -> HttpResponse:
    """Show a budget's limit and thresholds, or change them; of the team's own, the thresholds alone."""
    seat = get_managed_seat(request, team)
    budget = _budget(seat, budget_id)
    form_of = LimitForm if billing.is_settable(budget, seat) else ThresholdsForm
    if request.method != "POST":
        initial = {"limit": budget.limit_nano, "alert_percents": budget.alert_percents}
        return _draw(request, seat, budget, form_of(initial=initial))
    form = form_of(request.POST)
    if not form.is_valid():
        return _draw(request, seat, budget, form, status=400)
    try:
        _change(seat, budget, form)
    except UnknownBudget:
        messages.warning(request, "Somebody removed this budget meanwhile.")
        return redirect("console:billing", seat.team.slug)
    except LedgerError as error:
        form.add_error(None, str(error))
        return _draw(request, seat, budget, form, status=400)
    return _done(request, seat, "The budget is changed.")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def remove_budget(request: HttpRequest, team: str, budget_id: int) -> HttpResponse:
    """Ask whether a project's or a key's budget shall go, and remove it."""
    seat = get_managed_seat(request, team)
    budget = _budget(seat, budget_id)
    if not billing.is_settable(budget, seat):
        raise PermissionDenied("Only an operator of this site sets the budgets of the team itself, and its plan.")
    if request.method != "POST":
        return page(request, seat, "console/budget_remove.html", _described(seat, budget))
    try:
        limits.remove_budget(seat.team.pk, budget.pk)
    except UnknownBudget:
        messages.warning(request, "Somebody removed this budget before.")
        return redirect("console:billing", seat.team.slug)
    return _done(request, seat, "The budget is removed: it limits nothing any more.")


def _budget(seat: Seat, budget_id: int) -> Budget:
    return get_object_or_404(Budget.objects.filter(account=seat.team.pk), pk=budget_id)


@transaction.atomic
def _change(seat: Seat, budget: Budget, form: forms.Form) -> None:
    """Write what the form says. A budget that is gone meanwhile is not made anew."""
    percents = form.cleaned_data["alert_percents"]
    # This one first: it says if the budget is gone, and locks the account for the other.
    limits.set_alert_percents(seat.team.pk, budget.pk, percents)
    if "limit" in form.cleaned_data:
        where = {"scope": budget.scope, "reference": budget.reference, "period": budget.period}
        limit_nano: int = form.cleaned_data["limit"]
        limits.set_budget(seat.team.pk, **where, limit_nano=limit_nano, alert_percents=percents)


def _spent(budget: Budget) -> str:
    return format_dollars(budget.spent_nano)


def _done(request: HttpRequest, seat: Seat, sentence: str) -> HttpResponse:
    messages.success(request, sentence)
    return redirect("console:billing", seat.team.slug)


def _described(seat: Seat, budget: Budget) -> dict[str, object]:
    named = billing.NamedUse(
        use_of(budget),
        billing.whose(budget, seat, Names(seat, [budget.reference] if budget.scope == Budget.Scope.KEY else [])),
        billing.is_settable(budget, seat),
    )
    return {"tab": "billing", "section": "billing", "named": named}


def _draw(request: HttpRequest, seat: Seat, budget: Budget, form: forms.Form, status: int = 200) -> HttpResponse:
    return page(request, seat, "console/budget.html", {**_described(seat, budget), "form": form}, status)


def _draw_new(request: HttpRequest, seat: Seat, form: BudgetForm, status: int = 200) -> HttpResponse:
    return page(
        request, seat, "console/budget_new.html", {"tab": "billing", "section": "billing", "form": form}, status
    )
