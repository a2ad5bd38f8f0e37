"""Plans in the admin panel: what they are, who has them, and the page that gives a team its plan."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect

from accounts.admin.base import Panel, ReadOnlyInline
from credits.admin.forms import GivePlanForm, PlanForm, change_message
from credits.models import Account, Plan
from credits.money import marked_dollars


class TeamsOfPlan(ReadOnlyInline):
    """Who has the plan."""

    model = Account
    verbose_name_plural = "teams that have it"
    fields = readonly_fields = ("balance", "granted_month")
    ordering = ["team__slug"]
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Account]":
        """Fetch the teams along."""
        accounts: QuerySet[Account] = super().get_queryset(request)
        return accounts.select_related("team")

    @admin.display
    def balance(self, account: Account) -> str:
        """Return what the entries add up to."""
        return marked_dollars(account.balance_nano)


@admin.register(Plan)
class PlanPanel(Panel):
    """Free grants and caps. A plan that gave something is named by the ledger, so it stays."""

    form = PlanForm
    fields = ["name", "grant", "cap"]
    list_display = ["name", "grant_dollars", "cap_dollars", "teams"]
    search_fields = ["name"]
    ordering = ["name"]
    inlines = [TeamsOfPlan]
    actions = None

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show amounts to those who may only look."""
        may_write = self.has_change_permission(request, obj) if obj else True
        return ["name", "grant", "cap"] if may_write else ["name", "grant_dollars", "cap_dollars"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Compute what is only looked at."""
        return ["grant_dollars", "cap_dollars"]

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        """List the teams of a plan that is there."""
        return self.inlines if obj else []

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Plan]":
        """Count the teams along."""
        plans: QuerySet[Plan] = super().get_queryset(request)
        return plans.annotate(team_count=Count("accounts"))

    def get_urls(self) -> list[URLPattern]:
        """Add the page that gives a team its plan."""
        view = self.admin_site.admin_view(self.give_view)
        return [path("give/", view, name="credits_plan_give"), *super().get_urls()]

    def save_model(self, request: HttpRequest, obj: Plan, form: Any, change: bool) -> None:
        """Save the plan through ``limits``, with its cap for every team that has it."""
        obj.pk = form.write().pk
        obj.refresh_from_db(fields=["name", "monthly_grant_nano", "monthly_cap_nano"])

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """Keep the amounts in the history."""
        return change_message(form, {"name": "Name", "grant": "Grant", "cap": "Cap"}, add=add)

    @admin.display(ordering="monthly_grant_nano", description="free grant each month")
    def grant_dollars(self, plan: Plan) -> str:
        """Return what it gives."""
        return marked_dollars(plan.monthly_grant_nano)

    @admin.display(ordering="monthly_cap_nano", description="cap each month")
    def cap_dollars(self, plan: Plan) -> str:
        """Return where it ends."""
        return "none" if plan.monthly_cap_nano is None else marked_dollars(plan.monthly_cap_nano)

    @admin.display(ordering="team_count")
    def teams(self, plan: Any) -> int:
        """Return how many teams have it."""
        return int(plan.team_count)

    @method_decorator([csrf_protect, never_cache])
    def give_view(self, request: HttpRequest) -> HttpResponse:
        """Show which team has which plan, and give it another."""
        if not request.user.has_perm("credits.change_account"):
            raise PermissionDenied("You may not give plans.")
        team = request.GET.get("team", "")
        has_plan = Plan.objects.filter(accounts=int(team)).first() if team.isdecimal() and len(team) < 19 else None
        form = GivePlanForm(request.POST or None, initial={"team": team, "plan": has_plan})
        if request.method == "POST" and form.is_valid():
            account, sentence = form.write()
            self.log_change(request, account, sentence)
            messages.success(request, f"{account.team}: {sentence}")
            return redirect("admin:credits_plan_changelist")
        shared = {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media}
        context = {**shared, "title": "Give a team its plan", "form": form}
        return TemplateResponse(request, "admin/credits/plan/give.html", context)
