"""API keys in the admin panel."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect

from accounts.admin.base import ReadOnlyPanel
from accounts.admin.filters import HappenedFilter
from accounts.admin.forms import KeyForm
from accounts.models import ApiKey
from core import clock

MAX_KEYS_REVOKED_AT_ONCE = 500


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
        return key.revoked_at is None and (key.expires_at is None or key.expires_at > clock.now())

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
