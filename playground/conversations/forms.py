"""What browsers send, over HTTP and over the socket, read into types at the edge."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from inference.errors import InvalidRequest, MalformedBody
from playground import limits
from playground.conversations.requests import SETTABLE, encode
from playground.errors import NotFound
from web.chat import parse

Form = TypeVar("Form")
ModelId = Annotated[str, Meta(min_length=1, max_length=limits.MAX_MODEL_CHARACTERS)]
ProjectPath = Annotated[str, Meta(pattern=r"^[a-z0-9._-]{1,64}/[a-z0-9._-]{1,64}$")]
RunId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]
Reference = Annotated[str, Meta(max_length=64)]
SystemPrompt = Annotated[str, Meta(max_length=limits.MAX_SYSTEM_PROMPT_CHARACTERS)]
Draft = Annotated[str, Meta(max_length=limits.MAX_DRAFT_CHARACTERS)]
Images = Annotated[list[UUID], Meta(max_length=limits.MAX_IMAGES_PER_MESSAGE)]
Tab = Annotated[str, Meta(min_length=1, max_length=limits.MAX_TAB_CHARACTERS)]
Version = Annotated[int, Meta(ge=0)]


class NewConversation(Struct, frozen=True, forbid_unknown_fields=True):
    """A conversation to begin."""

    project: ProjectPath
    model: ModelId


class UnsavedConversation(NewConversation, frozen=True):
    """What a page shows of a conversation that is not begun yet."""

    system_prompt: SystemPrompt = ""
    draft: Draft = ""
    parameters: dict[str, Any] = {}


class Changes(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What to change about a conversation; what is left out stays."""

    model: ModelId | UnsetType = UNSET
    title: Annotated[str, Meta(max_length=limits.MAX_TITLE_CHARACTERS)] | UnsetType = UNSET
    system_prompt: SystemPrompt | UnsetType = UNSET
    draft: Draft | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET
    # Whose draft it is.
    tab: Tab | UnsetType = UNSET


class Shown(Struct, frozen=True, forbid_unknown_fields=True):
    """The branch to show: the newest that goes through a message."""

    message: UUID


class Restored(Struct, frozen=True, forbid_unknown_fields=True):
    """What was deleted at a moment is to come back, and ``head`` to end the shown branch again."""

    deletion: datetime
    head: UUID | None = None


class CalledFunction(Struct, frozen=True, forbid_unknown_fields=True):
    """A function that is called, with its arguments as JSON text."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    arguments: Annotated[str, Meta(max_length=limits.MAX_CONTENT_CHARACTERS)]


class Call(Struct, frozen=True, forbid_unknown_fields=True):
    """A tool call, in OpenAI's shape."""

    id: Annotated[str, Meta(min_length=1, max_length=limits.MAX_TOOL_CALL_ID_CHARACTERS)]
    function: CalledFunction
    type: Literal["function"] = "function"

    def as_json(self) -> dict[str, Any]:
        """Return the call as it is stored and sent."""
        made: dict[str, Any] = msgspec.to_builtins(self)
        return made


class NewMessage(Struct, frozen=True, forbid_unknown_fields=True):
    """A turn to add, or to write anew beside ``replaces``; nobody is asked."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[str, Meta(max_length=limits.MAX_CONTENT_CHARACTERS)] = ""
    images: Images = []
    tool_calls: Annotated[list[Call], Meta(max_length=128)] = []
    tool_call_id: Annotated[str, Meta(max_length=limits.MAX_TOOL_CALL_ID_CHARACTERS)] = ""
    replaces: UUID | None = None
    seen: Version | None = None
    # Whether it was typed into the composer, whose draft it then is no longer.
    is_draft: bool = False
    tab: Tab | None = None


class NewColumns(Struct, frozen=True, forbid_unknown_fields=True):
    """Columns to set beside a conversation, each with its model."""

    models: Annotated[list[ModelId], Meta(min_length=1, max_length=limits.MAX_COLUMNS - 1)]


class NewImage(Struct, frozen=True, forbid_unknown_fields=True):
    """A picture, as a data URL."""

    url: Annotated[str, Meta(max_length=limits.MAX_IMAGE_BYTES * 4 // 3 + 64)]
    name: Annotated[str, Meta(max_length=1_000)] = ""


class Recovered(Struct, frozen=True, forbid_unknown_fields=True):
    """What a page had read of an answer."""

    content: Annotated[str, Meta(max_length=limits.MAX_ANSWER_CHARACTERS)]
    reasoning: Annotated[str, Meta(max_length=limits.MAX_ANSWER_CHARACTERS)] = ""


class Send(Struct, frozen=True, tag="send"):
    """Say something, beside an earlier message where one is named, and have it answered.

    ``seen``: the version of the conversation that the page shows; it is refused where there is another by now.
    """

    ref: Reference
    conversation: UUID
    content: Annotated[str, Meta(max_length=limits.MAX_CONTENT_CHARACTERS)]
    replaces: UUID | None = None
    seen: Version | None = None
    tab: Tab | None = None
    images: Images = []


class Regenerate(Struct, frozen=True, tag="regenerate"):
    """Answer again, beside that answer."""

    ref: Reference
    conversation: UUID
    message: UUID
    seen: Version | None = None


class Answer(Struct, frozen=True, tag="answer"):
    """Have the conversation answered as it stands; an answer at its end is gone on with."""

    ref: Reference
    conversation: UUID
    seen: Version | None = None


class Stop(Struct, frozen=True, tag="stop"):
    """End a run; what came so far stays."""

    run: RunId


class Attach(Struct, frozen=True, tag="attach"):
    """Follow a run from after chunk number ``after``."""

    run: RunId
    after: Annotated[int, Meta(ge=0)] = 0


class Watch(Struct, frozen=True, tag="watch"):
    """Hear of a project's balance, and of every change of conversations, such as other tabs make."""

    project: ProjectPath
    conversations: Annotated[list[UUID], Meta(max_length=limits.MAX_CONVERSATIONS_WATCHED)] = []


Asking = Send | Regenerate | Answer
Frame = Asking | Stop | Attach | Watch

read_conversation = msgspec.json.Decoder(NewConversation)
read_unsaved = msgspec.json.Decoder(UnsavedConversation)
read_changes = msgspec.json.Decoder(Changes)
read_shown = msgspec.json.Decoder(Shown)
read_restored = msgspec.json.Decoder(Restored)
read_message = msgspec.json.Decoder(NewMessage)
read_columns = msgspec.json.Decoder(NewColumns)
read_parameters = msgspec.json.Decoder(dict[str, Any])
read_image = msgspec.json.Decoder(NewImage)
read_recovered = msgspec.json.Decoder(Recovered)
read_frame: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Frame)


def read(decoder: msgspec.json.Decoder[Form], text: bytes | str) -> Form:
    """Decode what a browser sent. Raises InvalidRequest."""
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        raise InvalidRequest(str(error)) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedBody(f"This is not valid JSON: {error}") from None


def identifier(text: str) -> UUID:
    """Read an id. Raises NotFound: nothing has an id of another form."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None


def storable(text: str) -> str:
    """Leave out the one character that PostgreSQL cannot keep in a text."""
    return text.replace("\0", "")


def storable_json(value: Any) -> Any:
    """Return JSON as PostgreSQL can keep it."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [storable_json(item) for item in value]
    if isinstance(value, dict):
        return {storable(name): storable_json(item) for name, item in value.items()}
    return value


def checked_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters that are set, checked by the parser that every request goes through.

    Raises InvalidRequest with the parameter's name.
    """
    unknown = next((name for name in parameters if name not in SETTABLE), None)
    if unknown is not None:
        raise InvalidRequest(f"Unknown parameter: {unknown[:64]}", param=unknown[:64])
    given = {name: parameters[name] for name in SETTABLE if parameters.get(name) is not None}
    if _is_deeper(given, limits.MAX_PARAMETERS_DEPTH):
        raise InvalidRequest("The parameters are nested too deeply.", param="parameters")
    text = encode(given)
    if len(text) > limits.MAX_PARAMETERS_BYTES:
        raise InvalidRequest(f"The parameters exceed {limits.MAX_PARAMETERS_BYTES} bytes.", param="parameters")
    if b"\\u0000" in text:
        raise InvalidRequest("The parameters contain the character U+0000.", param="parameters")
    parse(encode({"model": "any", "messages": [{"role": "user", "content": "any"}], **given}))
    return given


def _is_deeper(value: object, levels: int) -> bool:
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_is_deeper(member, levels - 1) for member in members)
