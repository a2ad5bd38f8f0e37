"""People, teams, projects and keys in the admin panel."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import Count, ManyToManyField, Model, QuerySet
from django.forms import CheckboxSelectMultiple
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect

from accounts.admin.base import Panel, ReadOnlyPanel, Rows
from accounts.admin.filters import HappenedFilter
from accounts.admin.forms import KeyForm, MembershipFormSet, UserAddForm, UserChangeForm, UserPasswordForm
from accounts.models import DEFAULT_PROJECT, ApiKey, Membership, Project, Team, User

MAX_KEYS_REVOKED_AT_ONCE = 500

# Django's two lists with arrows between them say nothing to a screen reader.
_AS_CHECKBOXES: Any = {ManyToManyField: {"widget": CheckboxSelectMultiple}}

# Who may give power in the panel: nobody can give himself what he was not given.
POWERS = ("is_staff", "is_superuser", "groups", "user_permissions")

admin.site.unregister(Group)


@admin.register(Group)
class OperatorGroupPanel(GroupAdmin):
    """Groups are sets of powers, so only a superuser sees them."""

    formfield_overrides = _AS_CHECKBOXES

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)

    has_add_permission = has_change_permission = has_delete_permission = has_view_permission


@admin.register(User)
class UserPanel(UserAdmin):  # type: ignore[type-arg] # not generic at run time
    """People. A user is switched off, never deleted: keys, runs and the ledger name him."""

    formfield_overrides = _AS_CHECKBOXES
    form = UserChangeForm
    add_form = UserAddForm
    change_password_form = UserPasswordForm
    ordering = ["email"]
    list_display = ["email", "name", "is_active", "is_staff", "last_login"]
    list_filter = ["is_active", "is_staff", "is_superuser"]
    search_fields = ["email", "name"]
    list_per_page = 50
    readonly_fields = ["last_login", "date_joined"]
    fieldsets = [
        (None, {"fields": ["email", "name", "is_active"]}),
        ("Admin panel", {"fields": POWERS, "classes": ["collapse"]}),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    ]
    add_fieldsets = [(None, {"fields": ["email", "name", "usable_password", "password1", "password2"]})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Let only a superuser give power."""
        return [*self.readonly_fields, *([] if _is_superuser(request) else POWERS)]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep other operators' logins, their passwords too, from those who are no superusers."""
        is_operator = isinstance(obj, User) and (obj.is_staff or obj.is_superuser) and obj != request.user
        return super().has_change_permission(request, obj) and (_is_superuser(request) or not is_operator)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False


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


@admin.register(ApiKey)
class ApiKeyPanel(ReadOnlyPanel):
    """Keys: made and revoked, never edited. The digest is nobody's business."""

    list_display = ["__str__", "team", "project", "issuer", "created_at", "last_used_at", "expires_at", "is_live"]
    list_select_related = ["team", "project__team", "issuer"]
    list_filter = [("revoked_at", HappenedFilter)]
    search_fields = ["=id", "name", "issuer__email", "team__slug"]
    ordering = ["-created_at"]
    fields = ["id", "name", "issuer", "team", "project", "created_at", "last_used_at", "expires_at", "revoked_at"]
    actions = ["revoke"]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Ask Django's permission."""
        return request.user.has_perm("accounts.add_apikey")

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Ask for Django's permission to change keys: revoking is the one change there is."""
        return request.user.has_perm("accounts.change_apikey")

    def get_urls(self) -> list[URLPattern]:
        """Add the page that asks before it revokes."""
        view = self.admin_site.admin_view(self.revoke_view)
        return [path("revoke/", view, name="accounts_apikey_revoke"), *super().get_urls()]

    @admin.display(boolean=True, description="works")
    def is_live(self, key: ApiKey) -> bool:
        """Whether the key is neither revoked nor expired."""
        return key.revoked_at is None and (key.expires_at is None or key.expires_at > timezone.now())

    @method_decorator([csrf_protect, never_cache])
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Make a key, and show its secret this once."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = KeyForm(request.POST or None, initial={"issuer": request.user.get_username()})
        if request.method == "POST" and form.is_valid() and (made := form.create()):
            key, secret = made
            self.log_addition(request, key, [{"added": {}}])
            return self._draw(request, "created", {"title": "The key is made", "key": key, "secret": secret})
        return self._draw(request, "add", {"title": "Make an API key", "form": form})

    @admin.action(description="Revoke the selected keys", permissions=["revoke"])
    def revoke(self, request: HttpRequest, keys: "QuerySet[ApiKey]") -> HttpResponse:
        """Ask first."""
        ids = "&".join(f"id={key_id}" for key_id in keys.values_list("pk", flat=True)[:MAX_KEYS_REVOKED_AT_ONCE])
        return redirect(f"{reverse('admin:accounts_apikey_revoke')}?{ids}")

    @method_decorator(csrf_protect)
    def revoke_view(self, request: HttpRequest) -> HttpResponse:
        """Show which keys will stop, and stop them."""
        if not self.has_revoke_permission(request):
            raise PermissionDenied
        asked = (request.POST if request.method == "POST" else request.GET).getlist("id")[:MAX_KEYS_REVOKED_AT_ONCE]
        keys = list(ApiKey.objects.filter(pk__in=asked, revoked_at=None).select_related("team", "issuer"))
        if request.method == "POST":
            for key in keys:
                key.revoke()
                self.log_change(request, key, "Revoked.")
            messages.success(request, f"{len(keys)} key{'' if len(keys) == 1 else 's'} revoked.")
            return redirect("admin:accounts_apikey_changelist")
        return self._draw(request, "revoke", {"title": "Revoke API keys", "keys": keys})

    def _draw(self, request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
        shared = {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media}
        return TemplateResponse(request, f"admin/accounts/apikey/{name}.html", {**shared, **context})


def _is_superuser(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and request.user.is_superuser
