"""A person's conversations in a project, the latest first, page by page; and those in which words are found."""

import re
from datetime import datetime
from functools import reduce
from operator import and_
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from accounts.models import Project, User
from playground import limits
from playground.conversations import claims, store
from playground.errors import NotFound
from playground.models import Conversation, Message

# How much of a text is shown around what was found in it, in characters.
SNIPPET_BEFORE, SNIPPET_AFTER = 40, 80


class Page(NamedTuple):
    """Conversations as a browser lists them, and the cursor of those that follow; None where nothing does."""

    conversations: list[dict[str, Any]]
    cursor: str | None


class _Row(NamedTuple):
    """What is listed of a conversation."""

    pk: UUID
    title: str
    model: str
    updated_at: datetime
    has_columns: bool


def latest(user: User, project: Project, cursor: str = "") -> Page:
    """Return the conversations behind a cursor. Raises NotFound for a cursor that is none."""
    found = _behind(user, project, cursor, limits.MAX_CONVERSATIONS_LISTED + 1)
    listed = found[: limits.MAX_CONVERSATIONS_LISTED]
    return Page(_listing(listed), _cursor(listed[-1]) if len(found) > len(listed) else None)


def search(user: User, project: Project, text: str, cursor: str = "") -> Page:
    """Return the conversations behind a cursor with every word in the title, or in one message.

    One call looks into MAX_CONVERSATIONS_SEARCHED of them at most, so that none takes long; the cursor goes on from
    there, even where nothing was found. Raises NotFound for a cursor that is none.
    """
    words = text[: limits.MAX_SEARCH_CHARACTERS].split()
    if not words:
        return latest(user, project, cursor)
    window = _behind(user, project, cursor, limits.MAX_CONVERSATIONS_SEARCHED + 1)
    looked = window[: limits.MAX_CONVERSATIONS_SEARCHED]
    texts = _texts(looked, words)
    titled = {item.pk for item in looked if all(word.lower() in item.title.lower() for word in words)}
    found = [item for item in looked if item.pk in titled or item.pk in texts]
    listed = found[: limits.MAX_CONVERSATIONS_LISTED]
    last = listed[-1] if len(found) > len(listed) else looked[-1] if len(window) > len(looked) else None
    snippets = {pk: _snippet(content, words[0]) for pk, content in texts.items()}
    return Page(_listing(listed, snippets), _cursor(last) if last else None)


def _behind(user: User, project: Project, cursor: str, count: int) -> list[_Row]:
    """Return so many conversations behind a cursor, the latest first."""
    listed = store.of(user).filter(Q(group=None) | Q(column=0), project=project)
    conversations = listed.order_by("-updated_at", "-id")
    if cursor:
        try:
            moment, pk = cursor.split("_")
            updated_at, last = datetime.fromisoformat(moment), UUID(pk)
        except ValueError:
            raise NotFound from None
        conversations = conversations.filter(Q(updated_at__lt=updated_at) | Q(updated_at=updated_at, id__lt=last))
    beside = Conversation.objects.filter(group=OuterRef("group")).exclude(pk=OuterRef("pk"))
    found = conversations.annotate(has_columns=Exists(beside))
    return [_Row(*row) for row in found.values_list("id", "title", "model", "updated_at", "has_columns")[:count]]


def _cursor(row: _Row) -> str:
    return f"{row.updated_at.isoformat()}_{row.pk}"


def _texts(conversations: list[_Row], words: list[str]) -> dict[UUID, str]:
    """Return the first message of each conversation that has every word."""
    within = Q(conversation__in=[item.pk for item in conversations])
    holding = reduce(and_, (Q(content__icontains=word) for word in words), within)
    found = Message.objects.filter(holding).order_by("-position").values_list("conversation_id", "content")
    return dict(found)


def _snippet(content: str, word: str) -> str:
    """Return the words around what was found, on one line."""
    at = max(content.lower().find(word.lower()), 0)
    around = content[max(at - SNIPPET_BEFORE, 0) : at + SNIPPET_AFTER]
    return ("…" if at > SNIPPET_BEFORE else "") + re.sub(r"\s+", " ", around).strip()


def _listing(conversations: list[_Row], snippets: dict[UUID, str] | None = None) -> list[dict[str, Any]]:
    running = _running(conversations)
    return [
        {
            "id": str(item.pk),
            "title": item.title,
            "model": item.model,
            "updated_at": item.updated_at.isoformat(),
            "running": item.pk in running,
            "has_columns": item.has_columns,
            "snippet": (snippets or {}).get(item.pk, ""),
        }
        for item in conversations
    ]


def _running(conversations: list[_Row]) -> set[UUID]:
    """Return which of them are being answered at this moment."""
    answers = Message.objects.filter(
        conversation__in=[item.pk for item in conversations], state=Message.State.RUNNING
    ).values_list("conversation_id", "run")
    return {conversation for conversation, run in answers if claims.is_held(run)}
