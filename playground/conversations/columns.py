"""Conversations side by side: each column is a conversation of its own, and all of them share a group."""

from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from playground import limits
from playground.conversations import branches, store, turns
from playground.conversations.forms import NewColumns, storable
from playground.errors import TooMuch
from playground.models import Conversation, Image, Message


@transaction.atomic
def add(user: User, pk: UUID, form: NewColumns) -> list[Conversation]:
    """Set copies of the shown branch beside a conversation, one for each model named; return all columns.

    Raises NotFound and TooMuch.
    """
    conversation = store.locked(user, pk)
    columns = conversation.columns()
    if len(columns) + len(form.models) > limits.MAX_COLUMNS:
        raise TooMuch(f"{limits.MAX_COLUMNS} columns stand side by side at most. Close one first.")
    conversation.group = conversation.group or uuid4()
    conversation.version += 1
    conversation.save(update_fields=["group", "version"])
    path = branches.shown(conversation)
    # An answer under way is not copied: what comes of it is not known yet.
    path = [each for each in path if each.state != Message.State.RUNNING]
    for place, model in enumerate(form.models, start=max(each.column for each in columns) + 1):
        _copy(conversation, path, storable(model), place)
    return conversation.columns()


@transaction.atomic
def leave(user: User, pk: UUID) -> Conversation:
    """Let a conversation go on alone; the others stay side by side, a last one alone. Raises NotFound."""
    conversation = store.locked(user, pk)
    others = [each for each in conversation.columns() if each.pk != conversation.pk]
    now = timezone.now()
    for place, other in enumerate(others):
        group = other.group if len(others) > 1 else None
        Conversation.objects.filter(pk=other.pk).update(group=group, column=place, updated_at=now)
    conversation.group, conversation.column = None, 0
    conversation.version += 1
    conversation.save(update_fields=["group", "column", "version", "updated_at"])
    return conversation


def _copy(original: Conversation, path: list[Message], model: str, place: int) -> Conversation:
    made = Conversation.objects.create(
        user_id=original.user_id,
        project_id=original.project_id,
        model=model,
        title=original.title,
        system_prompt=original.system_prompt,
        parameters=original.parameters,
        group=original.group,
        column=place,
    )
    images_of = {}
    for image in original.pictures.filter(pk__in={each for message in path for each in message.images}):
        copy = Image.objects.create(
            conversation=made, media_type=image.media_type, content=bytes(image.content), name=image.name
        )
        images_of[str(image.pk)] = str(copy.pk)
    made.head_id = turns.copy_path(made, path, None, images_of)
    made.save(update_fields=["head"])
    return made
