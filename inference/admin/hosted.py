"""The page of Hugging Face Inference Endpoints in the admin panel: which there are, paused and resumed from here."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.options import get_content_type_for_model
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect

from accounts.admin.base import Panel
from inference.catalog import hosted
from inference.catalog.hosted import Hosted
from inference.catalog.hub import HubUnavailable
from inference.models import Endpoint

_ACTIONS = {"pause": hosted.pause, "resume": hosted.resume}


class HostedPages(Panel):
    """The endpoints' pages, with the one about those that Hugging Face runs."""

    def get_urls(self) -> list[URLPattern]:
        """Add the page."""
        view = self.admin_site.admin_view(self.hosted_view)
        return [path("hosted/", view, name="inference_endpoint_hosted"), *super().get_urls()]

    @method_decorator(csrf_protect)
    def hosted_view(self, request: HttpRequest) -> HttpResponse:
        """List Inference Endpoints; pause or resume one."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            self._act(request)
            return redirect("admin:inference_endpoint_hosted")
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": "Inference Endpoints"}
        may_act = self.has_change_permission(request)
        return TemplateResponse(
            request, "admin/inference/endpoint/hosted.html", {**context, **_listed(), "may_act": may_act}
        )

    def _act(self, request: HttpRequest) -> None:
        action = request.POST.get("action", "")
        if not self.has_change_permission(request) or action not in _ACTIONS or not settings.HF_TOKEN:
            raise PermissionDenied
        name = request.POST.get("endpoint", "")
        try:
            changed = _ACTIONS[action](name)
        except HubUnavailable as error:
            messages.error(request, f"Nothing was changed: {error}.")
            return
        assert request.user.pk
        LogEntry.objects.create(
            user_id=request.user.pk,
            content_type=get_content_type_for_model(Endpoint),
            object_repr=f"Inference Endpoint {changed.path}"[:200],
            action_flag=CHANGE,
            change_message=f"Asked to {action}.",
        )
        messages.success(request, f"Asked to {action} {changed.path}: it is {changed.status} now.")


def _listed() -> dict[str, Any]:
    """Return the Inference Endpoints, each with the endpoint here that sends requests to it; or why there are none."""
    if not settings.HF_TOKEN:
        return {"has_token": False}
    try:
        found = hosted.every()
    except HubUnavailable as error:
        return {"has_token": True, "problem": str(error)}
    return {"has_token": True, "found": [(each, _used_by(each)) for each in found]}


def _used_by(each: Hosted) -> Endpoint | None:
    return Endpoint.objects.filter(base_url=each.url.rstrip("/")).order_by("pk").first() if each.url else None
