"""Deleting with a way back: what is deleted disappears at once, and can be restored for KEEP_DELETED."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from playground.access import projects_of
from playground.conversations import branches, store
from playground.conversations.branches import Tree
from playground.errors import NotFound
from playground.limits import KEEP_DELETED
from playground.models import Conversation, Message


@transaction.atomic
def delete_conversation(user: User, pk: UUID, has_columns: bool = False) -> datetime:
    """Delete a conversation, and with ``has_columns`` those beside it; return the moment, which names the deletion.

    Raises NotFound.
    """
    conversation = store.locked(user, pk)
    moment = timezone.now()
    for column in conversation.columns() if has_columns else [conversation]:
        column.messages.update(deleted_at=moment)
        column.deleted_at = moment
        column.version += 1
        column.save(update_fields=["deleted_at", "version"])
    _line_up(conversation)
    purge()
    return moment


@transaction.atomic
def delete_from(user: User, pk: UUID, message: UUID, seen: int | None = None) -> datetime:
    """Delete a message and all that follow it on any branch. Raises NotFound and ConversationChanged.

    Where the message has other versions, the one before it is shown; else the conversation ends before it.
    """
    conversation = store.locked(user, pk)
    store.check_seen(conversation, seen)
    tree = Tree(conversation)
    versions = tree.versions(store.message_of(conversation, message).pk)
    place = versions.index(message)
    others = versions[:place][-1:] or versions[place + 1 :][:1]
    path = tree.path(message)
    head = tree.newest_under(others[0]) if others else next(iter(path[-2:-1]), None)
    return _delete(conversation, tree.under(message), head)


@transaction.atomic
def clear(user: User, pk: UUID) -> datetime:
    """Delete all of a conversation's messages; its settings and drafts stay. Raises NotFound."""
    conversation = store.locked(user, pk)
    return _delete(conversation, list(conversation.messages.values_list("pk", flat=True)), None)


@transaction.atomic
def restore(user: User, pk: UUID, deletion: datetime, head: UUID | None) -> Conversation:
    """Bring back what was deleted at a moment: a whole conversation, or messages of one. Raises NotFound."""
    own = Conversation.with_deleted.filter(user=user, project__in=projects_of(user).order_by())
    conversation = own.select_for_update(of=("self",)).select_related("project__team").filter(pk=pk).first()
    if conversation is None or conversation.deleted_at not in (None, deletion):
        raise NotFound
    restored = Message.with_deleted.filter(conversation=conversation, deleted_at=deletion).update(deleted_at=None)
    if not restored and conversation.deleted_at is None:
        raise NotFound
    conversation.deleted_at = None
    if head and conversation.messages.filter(pk=head).exists():
        conversation.head_id = head
    first = next(iter(branches.shown(conversation)), None)
    conversation.title = conversation.title or (store.title_of(first.content) if first else "")
    conversation.version += 1
    conversation.save(update_fields=["deleted_at", "head", "title", "version"])
    if conversation.group:
        _restore_beside(conversation, deletion)
    return conversation


def purge() -> None:
    """Forget what nobody brought back in time, everyone's."""
    late = timezone.now() - KEEP_DELETED
    Conversation.with_deleted.filter(deleted_at__lt=late).delete()
    Message.with_deleted.filter(deleted_at__lt=late).delete()


def _line_up(conversation: Conversation) -> None:
    """Number the columns that are there: the first one is listed."""
    for place, column in enumerate(conversation.columns()):
        Conversation.objects.filter(pk=column.pk).update(column=place)


def _restore_beside(conversation: Conversation, deletion: datetime) -> None:
    """Bring back the columns that were deleted together with a conversation."""
    beside = Conversation.with_deleted.filter(user=conversation.user_id, group=conversation.group, deleted_at=deletion)
    Message.with_deleted.filter(conversation__in=beside, deleted_at=deletion).update(deleted_at=None)
    beside.update(deleted_at=None)
    _line_up(conversation)


def _delete(conversation: Conversation, messages: list[UUID], head: UUID | None) -> datetime:
    """Delete messages, and a title that is their first one's words; end the shown branch in ``head``."""
    first = next(iter(branches.shown(conversation)), None)
    moment = timezone.now()
    conversation.messages.filter(pk__in=messages).update(deleted_at=moment)
    conversation.head_id = head
    still = next(iter(branches.shown(conversation)), None)
    if first and first != still and conversation.title == store.title_of(first.content):
        conversation.title = store.title_of(still.content) if still else ""
    conversation.version += 1
    conversation.save(update_fields=["head", "title", "version"])
    purge()
    return moment
