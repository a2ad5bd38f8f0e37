"""What the chat page asks for about presets. Errors have OpenAI's shape."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse

from playground.conversations import forms
from playground.conversations.views import JsonView
from playground.presets import store


class Presets(JsonView):
    """The presets of a project."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """List them."""
        return JsonResponse({"presets": store.listed(self.user, request.GET.get("project", ""))})

    def post(self, request: HttpRequest) -> HttpResponse:
        """Save one, or the next version of one; return the project's presets as they are then."""
        form = forms.read(store.read_preset, request.body)
        store.save(self.user, form)
        return JsonResponse({"presets": store.listed(self.user, form.project)}, status=201)


class OnePreset(JsonView):
    """A preset."""

    def delete(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Remove it, with all versions."""
        store.remove(self.user, pk)
        return HttpResponse(status=204)


class OnePresetVersion(JsonView):
    """A version of a preset."""

    def get(self, request: HttpRequest, pk: UUID, number: int) -> HttpResponse:
        """Return its settings."""
        return JsonResponse(store.version_of(self.user, pk, number))
