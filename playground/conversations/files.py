"""A conversation as a file: JSON with every branch, which can be read back; Markdown with the branch that is shown.

Neither names who it belongs to, nor any run; the file's own numbers link its turns.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from django.db import transaction
from msgspec import Meta, Struct

from accounts.models import User
from core.text import one_line
from inference.errors import InvalidRequest
from playground import limits
from playground.conversations import branches, forms, images, store
from playground.conversations.branches import Tree
from playground.conversations.forms import storable
from playground.conversations.requests import PREFILL
from playground.conversations.serializers import message_json
from playground.errors import TooMuch
from playground.models import Conversation, Message

FORMAT: Final = "parley-conversation"
VERSION: Final = 1
# Read from the database at once: no query stays open while a slow reader takes a file.
_TURNS_PER_READ: Final = 100

_Said = Annotated[str, Meta(max_length=limits.MAX_ANSWER_CHARACTERS)]
_Number = Annotated[int, Meta(ge=0)]
_SettingsKey = tuple[str, str, bytes, str]


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """What an answer was asked for with; ``prefill``: the words that it was to go on from."""

    model: forms.ModelId
    system_prompt: forms.SystemPrompt = ""
    parameters: dict[str, Any] = {}
    prefill: _Said = ""


class Turn(Struct, frozen=True, forbid_unknown_fields=True):
    """One turn, behind an earlier one unless it begins a branch."""

    id: _Number
    role: Literal["system", "developer", "user", "assistant", "tool"]
    parent: _Number | None = None
    content: _Said = ""
    reasoning: _Said = ""
    state: Literal["complete", "stopped", "failed"] = "complete"
    tool_calls: Annotated[list[forms.Call], Meta(max_length=128)] = []
    tool_call_id: Annotated[str, Meta(max_length=limits.MAX_TOOL_CALL_ID_CHARACTERS)] = ""
    images: Annotated[list[forms.NewImage], Meta(max_length=limits.MAX_IMAGES_PER_MESSAGE)] = []
    settings: Settings | None = None
    # What the answer took, for whoever reads the file; whoever reads it back has only the file's word for it.
    run: dict[str, Any] | None = None


class File(Struct, frozen=True, forbid_unknown_fields=True):
    """A whole conversation. Turns come behind those that they answer; ``shown`` is the last one of the shown branch."""

    format: Literal["parley-conversation"]
    version: Literal[1]
    model: forms.ModelId
    turns: Annotated[list[Turn], Meta(max_length=limits.MAX_CONVERSATION_MESSAGES_MADE)]
    title: Annotated[str, Meta(max_length=limits.MAX_TITLE_CHARACTERS)] = ""
    system_prompt: forms.SystemPrompt = ""
    parameters: dict[str, Any] = {}
    shown: _Number | None = None


_read = msgspec.json.Decoder(File)


def as_json(conversation: Conversation) -> Iterator[str]:
    """Return the file, piece by piece. An answer under way is left out: what comes of it is not known yet."""
    path = branches.shown(conversation)
    if path and message_json(path[-1])["state"] == Message.State.RUNNING:
        path.pop()
    turns = Tree(conversation).all()
    numbers = {message: number for number, message in enumerate(turns, start=1)}
    head = {
        "format": FORMAT,
        "version": VERSION,
        "title": conversation.title,
        "model": conversation.model,
        "system_prompt": conversation.system_prompt,
        "parameters": conversation.parameters,
        "shown": numbers[path[-1].pk] if path else None,
    }
    yield _json(head)[:-1] + ', "turns": [\n'
    separator = ""
    for message in _read_in_parts(turns):
        turn = _turn(message, numbers)
        if turn is not None:
            yield separator + _json(turn)
            separator = ",\n"
    yield "\n]}\n"


def as_markdown(conversation: Conversation) -> Iterator[str]:
    """Return the branch that is shown, for reading."""
    yield f"# {one_line(conversation.title) or 'Conversation'}\n\nModel: {_code(conversation.model)}\n"
    if conversation.parameters:
        yield f"\n{_fenced(_json(conversation.parameters, indent=2), 'json')}\n"
    if conversation.system_prompt:
        yield f"\n## System prompt\n\n{conversation.system_prompt}\n"
    for message in branches.shown(conversation):
        model = message.asked_with.get("model")
        yield f"\n## {message.get_role_display()}{f' ({_code(model)})' if model else ''}\n"
        if message.reasoning:
            yield "\n" + "\n".join(f"> {line}".rstrip() for line in message.reasoning.splitlines()) + "\n"
        for picture in images.in_order(message.images):
            yield f"\nPicture: {_code(picture.name or 'without a name')}\n"
        if message.content:
            yield f"\n{message.content}\n"
        if message.tool_calls:
            yield f"\n{_fenced(_json(message.tool_calls, indent=2), 'json')}\n"


@transaction.atomic
def load(user: User, project: str, text: bytes) -> Conversation:
    """Make a new conversation of a file. Raises InvalidRequest, TooMuch, and NotFound for the project."""
    try:
        file = forms.read(_read, text)
    except InvalidRequest as error:
        raise InvalidRequest(f"This is not a conversation that was exported here. {error}") from None
    _check_links(file)
    made = store.create(user, forms.NewConversation(project, file.model))
    made.title, made.system_prompt = one_line(file.title), storable(file.system_prompt)
    made.parameters = forms.checked_parameters(file.parameters)
    ids: dict[int | None, UUID] = {}
    messages = []
    checked: dict[_SettingsKey, dict[str, Any]] = {}
    for position, turn in enumerate(file.turns):
        message = Message(
            conversation=made,
            parent_id=ids.get(turn.parent),
            position=position,
            role=turn.role,
            content=storable(turn.content),
            reasoning=storable(turn.reasoning),
            state=turn.state,
            tool_calls=forms.storable_json([call.as_json() for call in turn.tool_calls]) or None,
            tool_call_id=storable(turn.tool_call_id),
            images=[str(images.keep(made, storable(image.name), image.url).pk) for image in turn.images],
            asked_with=_asked_with(turn.settings, checked),
        )
        ids[turn.id] = message.pk
        messages.append(message)
    Message.objects.bulk_create(messages, batch_size=_TURNS_PER_READ)
    made.head_id = ids.get(file.shown)
    made.save()
    return made


def _check_links(file: File) -> None:
    """Refuse what is no tree, or one that no page could have made. Raises InvalidRequest, TooMuch."""
    depths: dict[int | None, int] = {None: 0}
    for turn in file.turns:
        if turn.id in depths:
            raise InvalidRequest(f"Two turns have the id {turn.id}.", param="turns")
        if turn.parent not in depths:
            raise InvalidRequest(f"Turn {turn.id} comes before its parent, {turn.parent}.", param="turns")
        depths[turn.id] = depths[turn.parent] + 1
        if depths[turn.id] > limits.MAX_CONVERSATION_MESSAGES:
            raise TooMuch(f"A conversation has {limits.MAX_CONVERSATION_MESSAGES} messages at most on one branch.")
    if file.shown not in depths:
        raise InvalidRequest(f"There is no turn {file.shown} to show.", param="shown")


def _asked_with(settings: Settings | None, checked: dict[_SettingsKey, dict[str, Any]]) -> dict[str, Any]:
    """Return settings as a message keeps them. Most turns have the same ones, which are checked once."""
    if settings is None:
        return {}
    key = (settings.model, settings.system_prompt, msgspec.json.encode(settings.parameters), settings.prefill)
    if key not in checked:
        kept = {
            "model": storable(settings.model),
            "system_prompt": storable(settings.system_prompt),
            "parameters": forms.checked_parameters(settings.parameters),
        }
        checked[key] = {**kept, PREFILL: storable(settings.prefill)} if settings.prefill else kept
    return checked[key]


def _turn(message: Message, numbers: dict[UUID, int]) -> dict[str, Any] | None:
    told = message_json(message)
    if told["state"] == Message.State.RUNNING:
        return None
    run = {
        name: value
        for name, value in (told["run"] or {}).items()
        if value is not None and name not in ("run", "request_id")
    }
    turn = {
        "id": numbers[message.pk],
        "role": message.role,
        "parent": numbers.get(message.parent_id) if message.parent_id else None,
        **{name: told[name] for name in ("content", "reasoning", "state", "tool_calls", "tool_call_id")},
        "images": [{"name": image.name, "url": images.data_url(image)} for image in images.in_order(message.images)],
        "settings": message.asked_with,
        "run": run,
    }
    return {name: value for name, value in turn.items() if value or name == "id"}


def _read_in_parts(messages: list[UUID]) -> Iterator[Message]:
    for start in range(0, len(messages), _TURNS_PER_READ):
        part = messages[start : start + _TURNS_PER_READ]
        found = Message.objects.in_bulk(part)
        # What was deleted meanwhile is not there any more.
        yield from (found[message] for message in part if message in found)


def _json(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _code(text: str) -> str:
    ticks = "`" * (_longest_run(text) + 1)
    return f"{ticks}{one_line(text)}{ticks}"


def _fenced(text: str, language: str) -> str:
    ticks = "`" * max(3, _longest_run(text) + 1)
    return f"{ticks}{language}\n{text}\n{ticks}"


def _longest_run(text: str) -> int:
    found: Iterable[str] = re.findall("`+", text)
    return max(map(len, found), default=0)
