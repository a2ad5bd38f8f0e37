"""What the chat page asks for over HTTP: conversations, their code, the balance. Errors have OpenAI's shape."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.views import View

from accounts.models import User
from core.errors import DomainError
from playground import access
from playground.conversations import answers, forms, store
from playground.conversations.requests import Body, next_request, request_of
from playground.conversations.serializers import conversation_json, listing
from playground.errors import SignedOut, error_json, problem_of
from playground.models import Conversation
from web.snippets import snippets


class JsonView(View):
    """Answers signed-in people in JSON, refusals included."""

    user: User

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Do what the method says, or tell why not."""
        try:
            if not isinstance(request.user, User):
                raise SignedOut
            self.user = request.user
            return super().dispatch(request, *args, **kwargs)
        except DomainError as error:
            return JsonResponse({"error": error_json(error)}, status=problem_of(error).status)


class Conversations(JsonView):
    """A person's conversations in a project."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """List the latest."""
        project = access.project_of(self.user, request.GET.get("project", ""))
        return JsonResponse({"conversations": listing(store.recent(self.user, project))})

    def post(self, request: HttpRequest) -> HttpResponse:
        """Begin one."""
        form = forms.read(forms.read_conversation, request.body)
        return JsonResponse(conversation_json(store.create(self.user, form)), status=201)


class OneConversation(JsonView):
    """One conversation."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Return it whole."""
        return JsonResponse(conversation_json(store.find(self.user, pk)))

    def patch(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Change its settings, its title or its draft; answered without a body, because drafts are saved often."""
        store.change(store.find(self.user, pk), forms.read(forms.read_changes, request.body))
        return HttpResponse(status=204)

    def delete(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Delete it; an answer under way is stopped."""
        _find_stopped(self.user, pk).delete()
        return HttpResponse(status=204)


class ClearedConversation(JsonView):
    """A conversation to empty."""

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Delete all of its messages; settings and draft stay."""
        conversation = _find_stopped(self.user, pk)
        store.cut(conversation, 0)
        return JsonResponse(conversation_json(conversation))


class OneMessage(JsonView):
    """One message of a conversation."""

    def delete(self, request: HttpRequest, pk: UUID, message: UUID) -> HttpResponse:
        """Delete it and all after it."""
        conversation = _find_stopped(self.user, pk)
        store.cut(conversation, store.message_of(conversation, message).position)
        return HttpResponse(status=204)


class ConversationCode(JsonView):
    """A request of a conversation as code."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Return the request that made ``message``, or the next one, with the draft if there is one."""
        conversation = store.find(self.user, pk)
        if "message" in request.GET:
            answer = store.answer_of(conversation, forms.identifier(request.GET["message"]))
            return _code(request_of(answer), conversation)
        return _code(next_request(conversation), conversation)


class UnsavedCode(JsonView):
    """The first request of a conversation that is not begun yet, as code."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """Return it; nothing is begun."""
        conversation = store.unsaved(self.user, forms.read(forms.read_unsaved, request.body))
        return _code(next_request(conversation), conversation)


class Balance(JsonView):
    """What a project's team has left."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Return it in nano-credits."""
        return JsonResponse(access.balance_for(self.user, request.GET.get("project", "")))


def _code(body: Body, conversation: Conversation) -> HttpResponse:
    return JsonResponse({"request": body, **snippets(body, str(conversation.project))})


def _find_stopped(user: User, pk: UUID) -> Conversation:
    """Return a conversation to delete from, after telling its answer to stop. Raises NotFound."""
    conversation = store.find(user, pk)
    answers.stop(pk)
    return conversation
