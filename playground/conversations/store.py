"""What can be done to a conversation. Every search starts at its author; every change is one transaction."""

from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from msgspec import UNSET

from accounts.models import Project, User
from inference.errors import InvalidRequest
from inference.models import Run
from inference.runs.receipt import Receipt
from playground import limits
from playground.access import project_of, projects_of
from playground.conversations import claims, serializers
from playground.conversations.forms import (
    Changes,
    NewConversation,
    Regenerate,
    Send,
    UnsavedConversation,
    checked_parameters,
    storable,
)
from playground.conversations.requests import encode, request_of, settings_of
from playground.errors import ConversationBusy, NotFound, TooMuch, error_json
from playground.models import Conversation, Message


class Turn(NamedTuple):
    """What was appended: a question, unless an answer is only repeated, its answer to be, and the request for it."""

    conversation: Conversation
    question: Message | None
    answer: Message
    body: bytes


def of(user: User) -> "QuerySet[Conversation]":
    """Return a person's conversations in the projects that he still belongs to."""
    return user.conversations.filter(project__in=projects_of(user).order_by()).select_related("project__team")


def find(user: User, pk: UUID) -> Conversation:
    """Return a conversation. Raises NotFound, for another person's just the same."""
    try:
        return of(user).get(pk=pk)
    except ObjectDoesNotExist:
        raise NotFound from None


def find_answer(user: User, run: str) -> Message:
    """Return the answer that a run made or makes. Raises NotFound."""
    answers = Message.objects.filter(conversation__in=of(user), run=run).select_related("conversation__project__team")
    answer = answers.first()
    if answer is None:
        raise NotFound
    return answer


def recent(user: User, project: Project) -> "QuerySet[Conversation]":
    """Return the conversations for the history panel, the latest first."""
    return of(user).filter(project=project).order_by("-updated_at")[: limits.MAX_CONVERSATIONS_LISTED]


def create(user: User, form: NewConversation) -> Conversation:
    """Begin a conversation. Raises NotFound for the project, TooMuch."""
    project = project_of(user, form.project)
    if user.conversations.count() >= limits.MAX_CONVERSATIONS_PER_USER:
        raise TooMuch(f"{limits.MAX_CONVERSATIONS_PER_USER} conversations are kept at most. Delete one first.")
    return user.conversations.create(project=project, model=storable(form.model))


def unsaved(user: User, form: UnsavedConversation) -> Conversation:
    """Return a conversation as it would be begun, without beginning it. Raises NotFound, InvalidRequest."""
    return Conversation(
        project=project_of(user, form.project),
        model=form.model,
        system_prompt=form.system_prompt,
        parameters=checked_parameters(form.parameters),
        draft=form.draft,
    )


def change(conversation: Conversation, form: Changes) -> None:
    """Change what the form names. Raises InvalidRequest for the parameters."""
    changes = {name: getattr(form, name) for name in form.__struct_fields__ if getattr(form, name) is not UNSET}
    for name, value in changes.items():
        setattr(conversation, name, checked_parameters(value) if name == "parameters" else storable(value))
    conversation.save(update_fields=[*changes, "updated_at"])


def cut(conversation: Conversation, position: int) -> None:
    """Delete every message from ``position`` on, hidden ones included, and a title that is the first one's words."""
    first = conversation.messages.visible().first()
    if first and first.position >= position and conversation.title == _title_of(first.content):
        conversation.title = ""
        conversation.save(update_fields=["title"])
    conversation.messages.filter(position__gte=position).delete()


def message_of(conversation: Conversation, pk: UUID) -> Message:
    """Return one of a conversation's messages. Raises NotFound."""
    message = conversation.messages.visible().filter(pk=pk).first()
    if message is None:
        raise NotFound
    return message


def answer_of(conversation: Conversation, pk: UUID) -> Message:
    """Return one of a conversation's answers. Raises NotFound."""
    answer = message_of(conversation, pk)
    if answer.role != Message.Role.ASSISTANT:
        raise NotFound
    return answer


def append(user: User, form: Send | Regenerate, run: str) -> Turn:
    """Append what a person says and the answer that ``run`` will make, in place of what the form replaces.

    Raises NotFound, TooMuch, InvalidRequest, and ConversationBusy where another process answers at this moment.
    """
    try:
        with transaction.atomic():
            conversation = _locked(user, form.conversation)
            _tidy(conversation)
            answer = Message(conversation=conversation, role=Message.Role.ASSISTANT, run=run)
            if isinstance(form, Send):
                return _say(conversation, form, answer)
            return _repeat(conversation, form, answer)
    except IntegrityError:
        raise ConversationBusy from None


@transaction.atomic
def withdraw(turn: Turn) -> str | None:
    """Undo a turn that was refused: what it replaced is back. What was said becomes the draft, and is returned."""
    added = [turn.answer.pk, *([turn.question.pk] if turn.question else [])]
    turn.conversation.messages.filter(pk__in=added).delete()
    turn.conversation.messages.filter(replaced_by=turn.answer.pk).update(replaced_by=None)
    if turn.question is None:
        return None
    Conversation.objects.filter(pk=turn.conversation.pk).update(draft=turn.question.content)
    return turn.question.content


@transaction.atomic
def conclude(turn: Turn, receipt: Receipt, content: str, reasoning: str, error: Exception | None) -> Message:
    """Write down how an answer ended; a message that was deleted meanwhile stays deleted."""
    answer = turn.answer
    answer.content, answer.reasoning = storable(content), storable(reasoning)
    answer.summary = serializers.run_summary(receipt)
    answer.error = error_json(error, receipt.id) if error else None
    if error:
        answer.state = Message.State.FAILED
    else:
        complete = receipt.ending in Run.ENGINE_ENDINGS
        answer.state = Message.State.COMPLETE if complete else Message.State.STOPPED
    kept = ("content", "reasoning", "summary", "error", "state")
    turn.conversation.messages.filter(pk=answer.pk).update(**{name: getattr(answer, name) for name in kept})
    turn.conversation.messages.filter(replaced_by=answer.pk).delete()
    return answer


def _locked(user: User, pk: UUID) -> Conversation:
    find(user, pk)
    return user.conversations.select_for_update(of=("self",)).select_related("project__team").get(pk=pk)


def _tidy(conversation: Conversation) -> None:
    """Settle what a process that was killed left behind: nothing is running when a new turn begins.

    Raises ConversationBusy where another process lives and answers.
    """
    running = conversation.messages.filter(state=Message.State.RUNNING)
    if any(claims.is_held(run) for run in running.values_list("run", flat=True)):
        raise ConversationBusy
    conversation.messages.exclude(replaced_by=None).delete()
    running.update(state=Message.State.STOPPED)


def _say(conversation: Conversation, form: Send, answer: Message) -> Turn:
    if form.replaces:
        replaced = message_of(conversation, form.replaces)
        if replaced.position == 0 and conversation.title == _title_of(replaced.content):
            conversation.title = ""
        _hide(conversation, replaced.position, answer)
    content = storable(form.content)
    if not content.strip():
        raise InvalidRequest("The message is empty.", param="content")
    position = _next_position(conversation)
    question = conversation.messages.create(role=Message.Role.USER, position=position, content=content)
    conversation.draft = ""
    conversation.title = conversation.title or _title_of(content)
    return _turn(conversation, question, answer, position + 1)


def _repeat(conversation: Conversation, form: Regenerate, answer: Message) -> Turn:
    repeated = answer_of(conversation, form.message)
    _hide(conversation, repeated.position, answer)
    return _turn(conversation, None, answer, repeated.position)


def _title_of(content: str) -> str:
    return "".join(content.strip().splitlines()[:1])[: limits.MAX_TITLE_CHARACTERS]


def _turn(conversation: Conversation, question: Message | None, answer: Message, position: int) -> Turn:
    if position >= limits.MAX_CONVERSATION_MESSAGES:
        raise TooMuch(f"A conversation has {limits.MAX_CONVERSATION_MESSAGES} messages at most. Begin a new one.")
    answer.position, answer.state = position, Message.State.RUNNING
    answer.asked_with = settings_of(conversation)
    body = encode(request_of(answer))
    if len(body) > settings.MAX_BODY_BYTES:
        raise TooMuch(f"The conversation exceeds {settings.MAX_BODY_BYTES} bytes. Begin a new one.")
    answer.save(force_insert=True)
    conversation.save(update_fields=["draft", "title", "updated_at"])
    return Turn(conversation, question, answer, body)


def _hide(conversation: Conversation, position: int, answer: Message) -> None:
    conversation.messages.filter(position__gte=position).update(replaced_by=answer.pk)


def _next_position(conversation: Conversation) -> int:
    last = conversation.messages.visible().last()
    return last.position + 1 if last else 0
