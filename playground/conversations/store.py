"""What can be done to a conversation. Every search starts at its author; every change is one transaction."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import IntegrityError, transaction
from django.db.models import F, Max, QuerySet
from msgspec import UNSET

from accounts.models import User
from core.text import one_line
from inference.errors import InvalidRequest
from inference.models import Run
from inference.runs.receipt import Receipt
from playground import limits
from playground.access import project_of, projects_of
from playground.conversations import claims, drafts, images, serializers
from playground.conversations.assembly import Said
from playground.conversations.branches import Tree, Turn
from playground.conversations.forms import (
    Asking,
    Changes,
    NewConversation,
    Regenerate,
    Send,
    UnsavedConversation,
    checked_parameters,
    storable,
    storable_json,
)
from playground.conversations.requests import PREFILL, encode, request_of, settings_of
from playground.errors import ConversationBusy, ConversationChanged, NotFound, TooMuch, error_json
from playground.models import Conversation, Message


def of(user: User) -> "QuerySet[Conversation]":
    """Return a person's conversations in the projects that the person still belongs to."""
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


def versions_of(user: User, conversations: list[UUID]) -> dict[UUID, int]:
    """Return the versions of those conversations that are the person's own."""
    return dict(of(user).filter(pk__in=conversations).values_list("pk", "version"))


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


@transaction.atomic
def change(user: User, pk: UUID, form: Changes, seen: int | None = None) -> int:
    """Change what the form names and return the version that the page then shows.

    Raises NotFound, InvalidRequest for the parameters, and ConversationChanged where more than a draft is changed of
    another version than ``seen``.
    """
    conversation = locked(user, pk)
    named = {name: getattr(form, name) for name in (*Message.SETTINGS, "title", "draft")}
    changes: dict[str, Any] = {name: value for name, value in named.items() if value is not UNSET}
    for name, value in changes.items():
        setattr(conversation, name, _checked(name, value))
    if form.draft is not UNSET and form.tab is not UNSET:
        drafts.keep(conversation, form.tab, conversation.draft)
    if changes.keys() - {"draft"}:
        check_seen(conversation, seen)
        conversation.version += 1
    conversation.save(update_fields=[*changes, "version", "updated_at"])
    return conversation.version


def message_of(conversation: Conversation, pk: UUID) -> Message:
    """Return one of a conversation's messages. Raises NotFound."""
    message = conversation.messages.filter(pk=pk).first()
    if message is None:
        raise NotFound
    return message


def answer_of(conversation: Conversation, pk: UUID) -> Message:
    """Return one of a conversation's answers. Raises NotFound."""
    answer = message_of(conversation, pk)
    if answer.role != Message.Role.ASSISTANT:
        raise NotFound
    return answer


@transaction.atomic
def show(user: User, pk: UUID, message: UUID) -> Conversation:
    """Show the newest branch through a message. Raises NotFound, and ConversationBusy while it is being answered."""
    conversation = locked(user, pk)
    tidy(conversation)
    conversation.head_id = Tree(conversation).newest_under(message_of(conversation, message).pk)
    conversation.version += 1
    conversation.save(update_fields=["head", "version"])
    return conversation


def append(user: User, form: Asking, run: str) -> Turn:
    """Append what a person says and the answer that ``run`` will make; beside what the form replaces, as a branch.

    Raises NotFound, TooMuch, InvalidRequest, ConversationChanged where the form was written on another version, and
    ConversationBusy where another process answers at this moment.
    """
    try:
        with transaction.atomic():
            conversation = locked(user, form.conversation)
            check_seen(conversation, form.seen)
            tidy(conversation)
            answer = Message(conversation=conversation, role=Message.Role.ASSISTANT, run=run)
            if isinstance(form, Send):
                return _say(conversation, form, answer)
            if isinstance(form, Regenerate):
                return _repeat(conversation, form, answer)
            return _answer(conversation, answer)
    except IntegrityError:
        raise ConversationBusy from None


@transaction.atomic
def withdraw(turn: Turn) -> str | None:
    """Undo a turn that was refused. What was said becomes the draft, and is returned."""
    added = [turn.answer.pk, *([turn.question.pk] if turn.question else [])]
    conversations = Conversation.with_deleted.filter(pk=turn.conversation.pk)
    conversations.filter(head__in=added).update(head=turn.head_before)
    Message.with_deleted.filter(pk__in=added).delete()
    conversations.update(version=F("version") + 1)
    if turn.question is None:
        return None
    conversations.update(draft=turn.question.content)
    return turn.question.content


@transaction.atomic
def conclude(turn: Turn, receipt: Receipt, said: Said, error: Exception | None) -> Message:
    """Write down how an answer ended; a message that was deleted meanwhile stays deleted."""
    answer = turn.answer
    _take(answer, said)
    answer.tool_calls, answer.logprobs = storable_json(said.tool_calls) or None, storable_json(said.logprobs) or None
    answer.summary = serializers.run_summary(receipt)
    answer.error = error_json(error, receipt.id) if error else None
    if error:
        answer.state = Message.State.FAILED
    else:
        complete = receipt.ending in Run.ENGINE_ENDINGS
        answer.state = Message.State.COMPLETE if complete else Message.State.STOPPED
    kept = ("content", "reasoning", "tool_calls", "logprobs", "summary", "error", "state")
    Message.with_deleted.filter(pk=answer.pk).update(**{name: getattr(answer, name) for name in kept})
    return answer


@transaction.atomic
def recover(user: User, pk: UUID, message: UUID, content: str, reasoning: str) -> None:
    """Take what a page had read of an answer before its process was killed, where that goes on from what is here.

    Raises NotFound.
    """
    answer = answer_of(locked(user, pk), message)
    is_lost = serializers.message_json(answer)["run"]["ending"] == serializers.LOST if answer.run else False
    content, reasoning = storable(content), storable(reasoning)
    if is_lost and content.startswith(answer.content) and reasoning.startswith(answer.reasoning):
        answer.content, answer.reasoning = content, reasoning
        answer.save(update_fields=["content", "reasoning", "state", "summary"])


def keep_progress(turn: Turn, said: Said) -> None:
    """Write down how far an answer is, in case its process is killed."""
    answer = Message(asked_with=turn.answer.asked_with)
    _take(answer, said)
    running = Message.with_deleted.filter(pk=turn.answer.pk, state=Message.State.RUNNING)
    running.update(content=answer.content, reasoning=answer.reasoning)


def locked(user: User, pk: UUID) -> Conversation:
    """Return a conversation that nobody else changes until the transaction ends. Raises NotFound."""
    find(user, pk)
    return user.conversations.select_for_update(of=("self",)).select_related("project__team").get(pk=pk)


def check_seen(conversation: Conversation, seen: int | None) -> None:
    """Refuse a change by a page that shows another version. Raises ConversationChanged; None: nobody asked."""
    if seen is not None and seen != conversation.version:
        raise ConversationChanged


def title_of(content: str) -> str:
    """Return the title of a conversation that begins so."""
    return one_line("".join(content.strip().splitlines()[:1]))[: limits.MAX_TITLE_CHARACTERS]


def _checked(name: str, value: Any) -> Any:
    if name == "title":
        return one_line(value)
    return checked_parameters(value) if name == "parameters" else storable(value)


def forget_draft(conversation: Conversation, tab: str | None, content: str) -> None:
    """Let go of a draft that has become a turn."""
    conversation.draft = ""
    drafts.sent(conversation, tab, content)


def tidy(conversation: Conversation) -> None:
    """Settle what a process that was killed left behind: nothing is running when a new turn begins.

    Raises ConversationBusy where another process lives and answers.
    """
    for answer in Message.with_deleted.filter(conversation=conversation, state=Message.State.RUNNING):
        if claims.is_held(answer.run):
            raise ConversationBusy
        serializers.settle_lost(answer)
        answer.save(update_fields=["state", "summary"])


def _say(conversation: Conversation, form: Send, answer: Message) -> Turn:
    content = storable(form.content)
    if not content.strip() and not form.images:
        raise InvalidRequest("The message is empty.", param="content")
    tree = Tree(conversation)
    replaced = message_of(conversation, form.replaces) if form.replaces else None
    path = tree.path(replaced.pk if replaced else conversation.head_id)
    path = path[:-1] if replaced else path
    if replaced and not path and conversation.title == title_of(replaced.content):
        conversation.title = ""
    conversation.title = conversation.title or title_of(content)
    question = conversation.messages.create(
        role=Message.Role.USER,
        position=next_position(conversation),
        content=content,
        images=images.checked(conversation.pk, form.images),
        parent_id=_last(path),
    )
    forget_draft(conversation, form.tab, form.content)
    versions = {question.pk: [*(tree.versions(replaced.pk) if replaced else ()), question.pk]}
    return _turn(conversation, question, answer, [*path, question.pk], versions)


def _repeat(conversation: Conversation, form: Regenerate, answer: Message) -> Turn:
    tree = Tree(conversation)
    repeated = answer_of(conversation, form.message)
    versions = {answer.pk: [*tree.versions(repeated.pk), answer.pk]}
    return _turn(conversation, None, answer, tree.path(repeated.pk)[:-1], versions)


def _answer(conversation: Conversation, answer: Message) -> Turn:
    """Answer the branch that is shown; where it ends in an answer, go on from its words, beside it."""
    tree = Tree(conversation)
    path = tree.path(conversation.head_id)
    if not path:
        raise InvalidRequest("There is nothing to answer yet.", param="conversation")
    last = message_of(conversation, path[-1])
    if last.role != Message.Role.ASSISTANT:
        return _turn(conversation, None, answer, path, {answer.pk: [answer.pk]})
    answer.content, answer.reasoning = last.content, last.reasoning
    versions = {answer.pk: [*tree.versions(last.pk), answer.pk]}
    return _turn(conversation, None, answer, path[:-1], versions)


def _take(answer: Message, said: Said) -> None:
    """Put an answer's words behind those that it was to go on from."""
    answer.content = answer.asked_with.get(PREFILL, "") + storable(said.content)
    answer.reasoning = storable(said.reasoning)


def _turn(
    conversation: Conversation,
    question: Message | None,
    answer: Message,
    path: list[UUID],
    versions: dict[UUID, list[UUID]],
) -> Turn:
    if len(path) >= limits.MAX_CONVERSATION_MESSAGES:
        raise TooMuch(f"A conversation has {limits.MAX_CONVERSATION_MESSAGES} messages at most. Begin a new one.")
    head_before = conversation.head_id
    answer.position, answer.state, answer.parent_id = next_position(conversation), Message.State.RUNNING, _last(path)
    answer.asked_with = settings_of(conversation)
    if answer.content:
        answer.asked_with[PREFILL] = answer.content
    answer.save(force_insert=True)
    body = encode(request_of(answer))
    if len(body) > settings.MAX_BODY_BYTES:
        raise TooMuch(f"The conversation exceeds {settings.MAX_BODY_BYTES} bytes. Begin a new one.")
    conversation.head = answer
    conversation.version += 1
    conversation.save(update_fields=["draft", "title", "head", "version", "updated_at"])
    return Turn(conversation, question, answer, body, head_before, {answer.pk: [answer.pk], **versions})


def _last(path: list[UUID]) -> UUID | None:
    return path[-1] if path else None


def next_position(conversation: Conversation) -> int:
    """Return the number of the next message to be made. Raises TooMuch."""
    made = Message.with_deleted.filter(conversation=conversation).aggregate(last=Max("position"))["last"]
    position = 0 if made is None else made + 1
    if position >= limits.MAX_CONVERSATION_MESSAGES_MADE:
        raise TooMuch(
            f"{limits.MAX_CONVERSATION_MESSAGES_MADE} messages were made in this conversation. Begin a new one."
        )
    return position
