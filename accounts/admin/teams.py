"""Teams and projects in the admin panel."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest

from accounts.admin.base import Panel, ReadOnlyPanel, Rows
from accounts.admin.forms import MembershipFormSet
from accounts.models import DEFAULT_PROJECT, Membership, Project, Team


class MembershipRows(Rows):
    """Who is in a team."""

    model = Membership
    formset = MembershipFormSet
    # A list of all the people there are would be too long to choose from.
    raw_id_fields = ["user"]


class ProjectRows(Rows):
    """A team's projects. Their names are in programs and receipts, so they stay."""

    model = Project
    fields = ["slug", "created_at"]
    readonly_fields = ["created_at"]
    can_delete = False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse."""
        return False


@admin.register(Team)
class TeamPanel(Panel):
    """Teams, with their people and projects."""

    list_display = ["slug", "is_enabled", "people", "created_at"]
    list_filter = ["is_enabled"]
    search_fields = ["slug"]
    ordering = ["slug"]
    inlines = [MembershipRows, ProjectRows]
    actions = ["enable", "disable"]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Team]":
        """Count the people along."""
        teams: QuerySet[Team] = super().get_queryset(request)
        return teams.annotate(member_count=Count("memberships"))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Keep a team's name once it has one: it is in programs."""
        return ["created_at"] if obj is None else ["slug", "created_at"]

    @admin.display(ordering="member_count")
    def people(self, team: Any) -> int:
        """Return how many people are in the team."""
        return int(team.member_count)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Give a new team the project that keys fall back to."""
        super().save_related(request, form, formsets, change)
        if not change:
            form.instance.projects.get_or_create(slug=DEFAULT_PROJECT)

    @admin.action(description="Switch inference on", permissions=["change"])
    def enable(self, request: HttpRequest, teams: "QuerySet[Team]") -> None:
        """Let the teams call again."""
        teams.update(is_enabled=True)

    @admin.action(description="Switch inference off", permissions=["change"])
    def disable(self, request: HttpRequest, teams: "QuerySet[Team]") -> None:
        """Have every call of the teams refused."""
        teams.update(is_enabled=False)


@admin.register(Project)
class ProjectPanel(ReadOnlyPanel):
    """Projects: made, never renamed or deleted."""

    list_display = ["__str__", "created_at"]
    list_select_related = ["team"]
    search_fields = ["slug", "team__slug"]
    ordering = ["team__slug", "slug"]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Ask Django's permission."""
        return request.user.has_perm("accounts.add_project")
