"""Turns that nobody is asked for: added in any role, or written anew in place of one that is there."""

from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.models import User
from inference.errors import InvalidRequest
from playground.conversations import branches, images, store
from playground.conversations.forms import NewMessage, storable, storable_json
from playground.models import Conversation, Message

# What a copy of a turn takes over; the run stays the original's.
COPIED = (
    "role",
    "content",
    "reasoning",
    "state",
    "asked_with",
    "summary",
    "error",
    "tool_calls",
    "tool_call_id",
    "logprobs",
)


@transaction.atomic
def add(user: User, pk: UUID, form: NewMessage) -> Conversation:
    """Add a turn at the end of the shown branch; or beside one, with copies of all that followed that.

    Raises NotFound, TooMuch, InvalidRequest, ConversationChanged, and ConversationBusy while it is being answered.
    """
    conversation = store.locked(user, pk)
    store.check_seen(conversation, form.seen)
    store.tidy(conversation)
    replaced = store.message_of(conversation, form.replaces) if form.replaces else None
    shown = branches.shown(conversation)
    rest: list[Message] = []
    if replaced in shown:
        rest = shown[shown.index(replaced) + 1 :]
    parent = replaced.parent_id if replaced else shown[-1].pk if shown else None
    message = _written(conversation, form, parent)
    last = copy_path(conversation, rest, message.pk, images_of={})
    conversation.head_id = last
    if message.role == Message.Role.USER and parent is None:
        conversation.title = conversation.title or store.title_of(message.content)
    if form.is_draft:
        store.forget_draft(conversation, form.tab, form.content)
    conversation.version += 1
    conversation.save(update_fields=["head", "title", "draft", "version", "updated_at"])
    return conversation


def copy_path(
    conversation: Conversation, path: list[Message], parent: UUID | None, images_of: dict[str, str]
) -> UUID | None:
    """Copy turns into a conversation, one behind the other, and return the last one's id; ``parent`` without any.

    ``images_of``: the copies of the pictures that they show, by the originals' ids.
    """
    for original in path:
        copied: dict[str, Any] = {name: getattr(original, name) for name in COPIED}
        copied["images"] = [images_of.get(image, image) for image in original.images]
        position = store.next_position(conversation)
        copy = Message.objects.create(conversation=conversation, parent_id=parent, position=position, **copied)
        parent = copy.pk
    return parent


def _written(conversation: Conversation, form: NewMessage, parent: UUID | None) -> Message:
    content = storable(form.content)
    if not content.strip() and not form.tool_calls and not form.images and form.role != "tool":
        raise InvalidRequest("The message is empty.", param="content")
    if form.role == "tool" and not form.tool_call_id:
        raise InvalidRequest("A tool message needs tool_call_id.", param="tool_call_id")
    return Message.objects.create(
        conversation=conversation,
        parent_id=parent,
        position=store.next_position(conversation),
        role=form.role,
        content=content,
        images=images.checked(conversation.pk, form.images),
        tool_calls=storable_json([call.as_json() for call in form.tool_calls]) or None,
        tool_call_id=storable(form.tool_call_id),
    )
