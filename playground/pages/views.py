"""The pages: catalogue, model, chat, documentation."""

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.csrf import csrf_failure
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe
from django.views.defaults import page_not_found

from accounts.models import User
from playground import access
from playground.conversations import history, store
from playground.conversations.forms import identifier
from playground.conversations.requests import example_request
from playground.conversations.serializers import conversation_json
from playground.errors import NotFound, error_json, problem_of
from playground.models import Conversation
from playground.pages import catalog
from playground.pages.documents import documents
from web.bearer import bearer_secret
from web.snippets import base_url, snippets

# What the page's sliders stand at until they are moved; a parameter that was not moved is not sent.
DEFAULTS = {"temperature": 1.0, "top_p": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0}


@require_safe
@login_required
def show_catalogue(request: HttpRequest) -> HttpResponse:
    """Show every model that can be called."""
    return render(request, "playground/catalogue.html", {"models": catalog.cards(), **_projects(request)})


@require_safe
@login_required
def show_model(request: HttpRequest, model_id: str) -> HttpResponse:
    """Show one model, with code that calls it."""
    model = catalog.card(model_id)
    if model is None:
        raise Http404("There is no such model.")
    context = _projects(request)
    code = snippets(example_request(model_id), context["project"] or "team/project")
    return render(request, "playground/model.html", {"model": model, "code": code, **context})


@require_safe
@login_required
@ensure_csrf_cookie
def show_chat(request: HttpRequest) -> HttpResponse:
    """Show the playground, where it was left; a conversation that is not the person's own is not found."""
    user = _user(request)
    conversation = _asked_conversation(request)
    context = _projects(request, conversation)
    project = context["project"]
    listed = history.latest(user, access.project_of(user, project)) if project else history.Page([], None)
    state = {
        "user": {"email": user.email, "name": user.name},
        "projects": context["projects"],
        "project": project,
        "models": catalog.cards(),
        "conversation": conversation_json(conversation) if conversation else None,
        "history": listed._asdict(),
        "defaults": DEFAULTS,
        "base_url": base_url(),
        "reconnect_grace_seconds": settings.RECONNECT_GRACE_SECONDS,
    }
    return render(request, "playground/chat.html", {"state": state, **context})


@require_safe
@never_cache
@login_required
def show_notices(request: HttpRequest) -> HttpResponse:
    """Show nothing but the playground's warnings about credits, for an open page whose own have grown old."""
    return render(request, "playground/notices.html", _projects(request))


@require_safe
def show_document(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a page of documentation, signed in or not."""
    pages = documents(settings.PUBLIC_URL)
    if slug not in pages:
        raise Http404("There is no such page.")
    page = pages[slug]
    context = {"slug": slug, "title": page.title, "content": page.html, "pages": list(pages.values())}
    return render(request, "docs.html", context)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Say that there is nothing here; to a program, which most likely forgot the end of the base URL, in JSON."""
    return _told_to_a_program(request) or page_not_found(request, exception)


def not_from_here(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """Refuse a form that no page of ours sent; a program that sends JSON hears that it is at the wrong address."""
    is_browser = settings.SESSION_COOKIE_NAME in request.COOKIES
    return (None if is_browser else _told_to_a_program(request)) or csrf_failure(request, reason)


def _told_to_a_program(request: HttpRequest) -> HttpResponse | None:
    accepted = request.headers.get("Accept", "")
    secret = bearer_secret(request.headers.get("Authorization", ""))
    shows_key = secret is not None or "X-Api-Key" in request.headers
    wants_json = "application/json" in accepted and "text/html" not in accepted
    if not (shows_key or wants_json or request.content_type == "application/json"):
        return None
    error = NotFound(f"Nothing is at this address. The base URL of the API is {base_url()}")
    return JsonResponse({"error": error_json(error)}, status=problem_of(error).status)


def _asked_conversation(request: HttpRequest) -> Conversation | None:
    asked = request.GET.get("conversation")
    if not asked:
        return None
    try:
        return store.find(_user(request), identifier(asked))
    except NotFound:
        raise Http404("There is no such conversation.") from None


def _projects(request: HttpRequest, conversation: Conversation | None = None) -> dict[str, Any]:
    """Return the person's projects, and the one to begin in: the asked one, the last one used, or the first."""
    user = _user(request)
    projects = access.listed_projects(user)
    paths = [project["path"] for project in projects]
    last = conversation or store.of(user).order_by("-updated_at").first()
    wanted = [str(conversation.project) if conversation else request.GET.get("project"), last and str(last.project)]
    return {"projects": projects, "project": next((path for path in [*wanted, *paths] if path in paths), None)}


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
