"""The admin panel's site: the operator's front page, and one way to sign in for everybody."""

from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache


class OperatorSite(AdminSite):
    """Django's admin site with what an operator looks at first on its front page."""

    site_title = "Parley"
    site_header = "Parley"
    index_title = "Operations"
    empty_value_display = "-"

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show today's numbers to those who may see runs, endpoints and accounts, above the list of what there is."""
        # The apps are not ready yet when this module is imported.
        from console.reports import operations

        return super().index(request, {**operations.front_page(request), **(extra_context or {})})

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Send strangers to the site's own sign-in, which counts attempts; people without permission are told so."""
        if request.user.is_authenticated:
            raise PermissionDenied("This is for operators.")
        return redirect_to_login(request.GET.get("next") or "/admin/", settings.LOGIN_URL)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Send operators to the one page for changing passwords."""
        return redirect("console:password")
