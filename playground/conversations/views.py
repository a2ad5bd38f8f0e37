"""What the chat page asks for over HTTP: conversations, their code, the balance. Errors have OpenAI's shape."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.text import slugify
from django.views import View

from accounts.models import User
from core.errors import DomainError
from inference.errors import InvalidRequest
from playground import access
from playground.conversations import answers, columns, deletion, files, forms, history, images, store, turns
from playground.conversations.requests import Body, next_request, request_of
from playground.conversations.serializers import conversation_json
from playground.errors import SignedOut, error_json, problem_of
from playground.models import Conversation
from web.downloads import download
from web.snippets import snippets

_MAX_FILENAME_CHARACTERS = 60


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
        """List the latest, or those in which words are found; ``cursor`` goes on from an earlier page."""
        project = access.project_of(self.user, request.GET.get("project", ""))
        cursor, words = request.GET.get("cursor", ""), request.GET.get("search", "")
        return JsonResponse(history.search(self.user, project, words, cursor)._asdict())

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
        """Change its settings, its title or a draft; answered without a body, because drafts are saved often.

        ``ETag`` is the version that the page shows by now; ``If-Match`` the one that it was changed on.
        """
        version = store.change(self.user, pk, forms.read(forms.read_changes, request.body), _seen(request))
        return HttpResponse(status=204, headers={"ETag": f'"{version}"'})

    def delete(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Delete it, and all columns with it where ``columns`` says ``all``; answers under way are stopped."""
        has_columns = request.GET.get("columns") == "all"
        for column in store.find(self.user, pk).columns() if has_columns else ():
            answers.stop(column.pk)
        _stop(self.user, pk)
        return _deleted(deletion.delete_conversation(self.user, pk, has_columns))


class ImportedConversation(JsonView):
    """A conversation that comes as a file."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """Make a new one of it, in the project that is asked for."""
        made = files.load(self.user, request.GET.get("project", ""), request.body)
        return JsonResponse(conversation_json(made), status=201)


class ExportedConversation(JsonView):
    """A conversation as a file."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        """Return it whole as JSON, which can be read back; or what is shown of it as Markdown."""
        conversation = store.find(self.user, pk)
        name = slugify(conversation.title)[:_MAX_FILENAME_CHARACTERS] or "conversation"
        match request.GET.get("as", "json"):
            case "json":
                return download(files.as_json(conversation), f"{name}.json", "application/json")
            case "markdown":
                return download(files.as_markdown(conversation), f"{name}.md", "text/markdown; charset=utf-8")
        raise InvalidRequest("A conversation is exported as json or markdown.", param="as")


class ClearedConversation(JsonView):
    """A conversation to empty."""

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Delete all of its messages; settings and draft stay."""
        _stop(self.user, pk)
        moment = deletion.clear(self.user, pk)
        return JsonResponse({**conversation_json(store.find(self.user, pk)), "deletion": moment.isoformat()})


class RestoredConversation(JsonView):
    """What was deleted of a conversation, or all of it."""

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Bring it back."""
        form = forms.read(forms.read_restored, request.body)
        return JsonResponse(conversation_json(deletion.restore(self.user, pk, form.deletion, form.head)))


class ShownBranch(JsonView):
    """The branch of a conversation that is shown."""

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Show the newest branch through a message."""
        form = forms.read(forms.read_shown, request.body)
        return JsonResponse(conversation_json(store.show(self.user, pk, form.message)))


class OneMessage(JsonView):
    """One message of a conversation."""

    def delete(self, request: HttpRequest, pk: UUID, message: UUID) -> HttpResponse:
        """Delete it and all after it."""
        _stop(self.user, pk)
        return _deleted(deletion.delete_from(self.user, pk, message, _seen(request)))


class RecoveredMessage(JsonView):
    """An answer whose process was killed."""

    def post(self, request: HttpRequest, pk: UUID, message: UUID) -> HttpResponse:
        """Take what a page had read of it beyond what was written down."""
        form = forms.read(forms.read_recovered, request.body)
        store.recover(self.user, pk, message, form.content, form.reasoning)
        return HttpResponse(status=204)


class Messages(JsonView):
    """The turns of a conversation."""

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Add one, or write one anew beside another; nobody is asked."""
        form = forms.read(forms.read_message, request.body)
        return JsonResponse(conversation_json(turns.add(self.user, pk, form)), status=201)


class Columns(JsonView):
    """What stands side by side with a conversation."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Return all columns whole, in order."""
        found = store.find(self.user, pk).columns()
        return JsonResponse({"columns": [conversation_json(column) for column in found]})

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Set copies of the conversation beside it, and return all columns."""
        found = columns.add(self.user, pk, forms.read(forms.read_columns, request.body))
        return JsonResponse({"columns": [conversation_json(column) for column in found]}, status=201)

    def delete(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Let the conversation go on alone."""
        return JsonResponse(conversation_json(columns.leave(self.user, pk)))


class Images(JsonView):
    """The pictures of a conversation."""

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Keep one, to be sent with a message."""
        form = forms.read(forms.read_image, request.body)
        image = images.keep(store.find(self.user, pk), forms.storable(form.name), form.url)
        return JsonResponse({"id": str(image.pk)}, status=201)


class OneImage(JsonView):
    """A picture."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Return it as a browser shows it; it never changes."""
        image = images.find(self.user, pk)
        headers = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
        return HttpResponse(bytes(image.content), content_type=image.media_type, headers=headers)


class CheckedParameters(JsonView):
    """Parameters that somebody types."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """Say whether a request may carry them; what is wrong is the answer, not an error."""
        try:
            forms.checked_parameters(forms.read(forms.read_parameters, request.body))
        except DomainError as error:
            return JsonResponse({"error": error_json(error)})
        return JsonResponse({"error": None})


class ConversationCode(JsonView):
    """A request of a conversation as code."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Return the request that made ``message``, or the next one, with the draft if there is one."""
        conversation = store.find(self.user, pk)
        if "message" in request.GET:
            answer = store.answer_of(conversation, forms.identifier(request.GET["message"]))
            return _code(request_of(answer), conversation)
        pictures = images.checked(conversation.pk, [forms.identifier(each) for each in request.GET.getlist("image")])
        return _code(next_request(conversation, pictures), conversation)


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


def _stop(user: User, pk: UUID) -> None:
    """Tell the answer of a conversation to stop, of which something is to be deleted. Raises NotFound."""
    store.find(user, pk)
    answers.stop(pk)


def _deleted(moment: datetime) -> HttpResponse:
    """Say that it is gone, and by which name it can be brought back."""
    return HttpResponse(status=204, headers={"Parley-Deletion": moment.isoformat()})


def _seen(request: HttpRequest) -> int | None:
    """Return the version that the page shows, if it says so."""
    given = request.headers.get("If-Match", "").strip('"')
    return int(given) if given.isdecimal() and len(given) < 10 else None
