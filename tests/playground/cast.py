"""Who appears in the playground's tests, and what they do."""

from dataclasses import dataclass
from typing import Any

from django.test import Client

from accounts.models import Team, User
from playground.models import Conversation, Message
from tests.fakes.server import Request
from tests.fakes.tgi import FakeTgi

PROJECT = "acme/inference"
MODEL = "fable/fox-1b"


@dataclass
class Cast:
    """The people, and the team that three of them are in."""

    owner: User
    member: User
    viewer: User
    stranger: User
    team: Team


def browser(user: User | None) -> Client:
    """Return a signed-in browser; an anonymous one without a user."""
    client = Client()
    if user:
        client.force_login(user)
    return client


def conversation_of(user: User, **settings: Any) -> Conversation:
    """Begin a conversation in acme/inference."""
    project = Team.objects.get(slug="acme").projects.get(slug="inference")
    return user.conversations.create(project=project, model=MODEL, **settings)


def say(conversation: Conversation, role: str, content: str, **more: Any) -> Message:
    """Add a message behind the last one, or behind ``parent``."""
    last = conversation.messages.order_by("position").last()
    turn = {"position": last.position + 1 if last else 0, "parent": last, **more}
    message: Message = conversation.messages.create(role=role, content=content, **turn)
    return message


def page_of(user: User, conversation: Conversation) -> Any:
    """Return the conversation as a reload of the page finds it."""
    return browser(user).get(f"/playground/conversations/{conversation.pk}").json()


def calls(tgi: FakeTgi) -> list[Request]:
    """Return the requests for an answer that an engine got."""
    return [request for request in tgi.requests if request.path == "/v1/chat/completions"]
