"""People and their powers in the admin panel."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.db.models import ManyToManyField, QuerySet
from django.forms import CheckboxSelectMultiple
from django.http import HttpRequest

from accounts import second_factor, sessions
from accounts.admin.base import Panel
from accounts.admin.forms import UserAddForm, UserChangeForm, UserPasswordForm
from accounts.models import User

# Django's two lists with arrows between them say nothing to a screen reader.
_AS_CHECKBOXES: Any = {ManyToManyField: {"widget": CheckboxSelectMultiple}}

# What gives power in the panel: nobody can take power that was not given.
POWERS = ("is_staff", "is_superuser", "groups", "user_permissions")

admin.site.unregister(Group)


@admin.register(Group)
class OperatorGroupPanel(Panel, GroupAdmin):
    """Groups are sets of powers, so only a superuser sees them."""

    formfield_overrides = _AS_CHECKBOXES

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)

    has_add_permission = has_change_permission = has_delete_permission = has_view_permission


@admin.register(User)
class UserPanel(Panel, UserAdmin):  # type: ignore[type-arg] # not generic at run time
    """People. A user is switched off, never deleted: keys, runs and the ledger name them."""

    formfield_overrides = _AS_CHECKBOXES
    form = UserChangeForm
    add_form = UserAddForm
    change_password_form = UserPasswordForm
    ordering = ["email"]
    list_display = ["email", "name", "is_active", "is_staff", "last_login"]
    list_filter = ["is_active", "is_staff", "is_superuser"]
    search_fields = ["email", "name"]
    readonly_fields = ["last_login", "date_joined"]
    actions = ["sign_out", "turn_second_factor_off"]
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

    @admin.action(description="Sign out everywhere", permissions=["change"])
    def sign_out(self, request: HttpRequest, users: "QuerySet[User]") -> None:
        """End the sessions of people; API keys keep working."""
        for user in self._changeable(request, users):
            sessions.end_others(user, None)
            self.log_change(request, user, "Signed out everywhere.")

    @admin.action(description="Turn the second factor off", permissions=["change"])
    def turn_second_factor_off(self, request: HttpRequest, users: "QuerySet[User]") -> None:
        """Let people who lost their phone and their recovery codes in with the password alone."""
        for user in self._changeable(request, users):
            second_factor.turn_off(user)
            self.log_change(request, user, "Turned the second factor off.")

    def _changeable(self, request: HttpRequest, users: "QuerySet[User]") -> list[User]:
        """Leave out those whom this operator may not change."""
        return [user for user in users if self.has_change_permission(request, user)]


def _is_superuser(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and request.user.is_superuser
