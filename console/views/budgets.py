"""Budgets of projects and keys, set by a team's owners and admins; of the team's own only the thresholds."""

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from console.access import Seat, login_required, seat
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
    place = _managing(request, team)
    if request.method != "POST":
        return _draw_new(request, place, BudgetForm(place, initial={"spender": request.GET.get("spender", "")}))
    form = BudgetForm(place, request.POST)
    if not form.is_valid():
        return _draw_new(request, place, form, status=400)
    scope, reference = form.spends
    try:
        budget = limits.set_budget(
            place.team.pk,
            scope=scope,
            reference=reference,
            period=form.cleaned_data["period"],
            limit_nano=form.cleaned_data["limit"],
            alert_percents=form.cleaned_data["alert_percents"],
        )
    except LedgerError as error:
        form.add_error(None, str(error))
        return _draw_new(request, place, form, status=400)
    return _done(request, place, f"Set to {format_dollars(budget.limit_nano)}; {_spent(budget)} of it is spent.")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def change_budget(request: HttpRequest, team: str, budget_id: int) -> HttpResponse:
    """Show a budget's limit and thresholds, or change them; of the team's own, the thresholds alone."""
    place = _managing(request, team)
    budget = _budget(place, budget_id)
    form_of = LimitForm if billing.is_settable(budget, place) else ThresholdsForm
    if request.method != "POST":
        initial = {"limit": budget.limit_nano, "alert_percents": budget.alert_percents}
        return _draw(request, place, budget, form_of(initial=initial))
    form = form_of(request.POST)
    if not form.is_valid():
        return _draw(request, place, budget, form, status=400)
    try:
        _change(place, budget, form)
    except UnknownBudget:
        messages.warning(request, "Somebody removed this budget meanwhile.")
        return redirect("console:billing", place.team.slug)
    except LedgerError as error:
        form.add_error(None, str(error))
        return _draw(request, place, budget, form, status=400)
    return _done(request, place, "The budget is changed.")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def remove_budget(request: HttpRequest, team: str, budget_id: int) -> HttpResponse:
    """Ask whether a project's or a key's budget shall go, and remove it."""
    place = _managing(request, team)
    budget = _budget(place, budget_id)
    if not billing.is_settable(budget, place):
        raise PermissionDenied("Only an operator of this site sets the budgets of the team itself, and its plan.")
    if request.method != "POST":
        return page(request, place, "console/budget_remove.html", _described(place, budget))
    try:
        limits.remove_budget(place.team.pk, budget.pk)
    except UnknownBudget:
        messages.warning(request, "Somebody removed this budget before.")
        return redirect("console:billing", place.team.slug)
    return _done(request, place, "The budget is removed: it limits nothing any more.")


def _managing(request: HttpRequest, team: str) -> Seat:
    place = seat(request, team)
    place.require_manager()
    return place


def _budget(place: Seat, budget_id: int) -> Budget:
    return get_object_or_404(Budget.objects.filter(account=place.team.pk), pk=budget_id)


@transaction.atomic
def _change(place: Seat, budget: Budget, form: forms.Form) -> None:
    """Write what the form says. A budget that is gone meanwhile is not made anew."""
    percents = form.cleaned_data["alert_percents"]
    # This one first: it says if the budget is gone, and locks the account for the other.
    limits.set_alert_percents(place.team.pk, budget.pk, percents)
    if "limit" in form.cleaned_data:
        where = {"scope": budget.scope, "reference": budget.reference, "period": budget.period}
        limit_nano: int = form.cleaned_data["limit"]
        limits.set_budget(place.team.pk, **where, limit_nano=limit_nano, alert_percents=percents)


def _spent(budget: Budget) -> str:
    return format_dollars(budget.spent_nano)


def _done(request: HttpRequest, place: Seat, sentence: str) -> HttpResponse:
    messages.success(request, sentence)
    return redirect("console:billing", place.team.slug)


def _described(place: Seat, budget: Budget) -> dict[str, object]:
    named = billing.NamedUse(
        use_of(budget),
        billing.whose(budget, place, Names(place, [budget.reference] if budget.scope == Budget.Scope.KEY else [])),
        billing.is_settable(budget, place),
    )
    return {"tab": "billing", "section": "billing", "named": named}


def _draw(request: HttpRequest, place: Seat, budget: Budget, form: forms.Form, status: int = 200) -> HttpResponse:
    return page(request, place, "console/budget.html", {**_described(place, budget), "form": form}, status)


def _draw_new(request: HttpRequest, place: Seat, form: BudgetForm, status: int = 200) -> HttpResponse:
    return page(
        request, place, "console/budget_new.html", {"tab": "billing", "section": "billing", "form": form}, status
    )
