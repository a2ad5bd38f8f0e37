"""The one parser of requests, for the API and the browser alike: bytes in, a typed and frozen ``Chat`` out.

Field names and ranges are OpenAI's (platform reference, "Create chat completion"); below them stand the sampling
extensions that TGI, vLLM, SGLang and llama.cpp share. A field we do not know is refused by name, never dropped.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from django.conf import settings
from msgspec import UNSET, Meta, Struct, UnsetType

from inference.errors import InvalidRequest, MalformedBody, UnsupportedParameter


class ImageUrl(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where an image is: a ``data:`` URL."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class TextPart(Struct, frozen=True, tag_field="type", tag="text", forbid_unknown_fields=True):
    """Text in a message of several parts."""

    text: str


class ImagePart(Struct, frozen=True, tag_field="type", tag="image_url", forbid_unknown_fields=True):
    """An image in a message of several parts."""

    image_url: ImageUrl


class FunctionCall(Struct, frozen=True, forbid_unknown_fields=True):
    """A function call that the model made earlier in the conversation."""

    name: str
    arguments: str
    # Sent back by clients that had the answer parsed; engines are not told.
    parsed_arguments: Any | UnsetType = UNSET


class ToolCall(Struct, frozen=True, forbid_unknown_fields=True):
    """A tool call that the model made earlier in the conversation."""

    id: str
    function: FunctionCall
    type: Literal["function"] = "function"
    index: int | UnsetType | None = UNSET


class Message(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart | ImagePart] | UnsetType | None = UNSET
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    # Sent back by clients that echo an answer as a turn of the conversation.
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    annotations: list[Any] | None = None
    parsed: Any = None
    # As the parameters of these names below.
    audio: None = None
    function_call: None = None


class Function(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A function that the model may call."""

    name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}\Z")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Struct, frozen=True, forbid_unknown_fields=True):
    """A tool that the model may call."""

    type: Literal["function"]
    function: Function


class ChosenFunction(Struct, frozen=True, forbid_unknown_fields=True):
    """The name of the function that must be called."""

    name: str


class ToolChoice(Struct, frozen=True, forbid_unknown_fields=True):
    """The tool that must be called."""

    type: Literal["function"]
    function: ChosenFunction


class JsonSchema(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The schema that the answer must follow."""

    name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}\Z")]
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class TextFormat(Struct, frozen=True, tag_field="type", tag="text", forbid_unknown_fields=True):
    """Plain text, the default."""


class JsonObjectFormat(
    Struct, frozen=True, omit_defaults=True, tag_field="type", tag="json_object", forbid_unknown_fields=True
):
    """Any JSON object; or one that follows a schema, which huggingface_hub's client writes as TGI wants it."""

    value: dict[str, Any] | None = None


class JsonSchemaFormat(Struct, frozen=True, tag_field="type", tag="json_schema", forbid_unknown_fields=True):
    """JSON that follows a schema."""

    json_schema: JsonSchema


class StreamOptions(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a stream carries besides the answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


Penalty = Annotated[float, Meta(ge=-2, le=2)]
Positive = Annotated[int, Meta(ge=1, le=10_000_000)]


class Chat(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A request for a chat completion. ``None`` means the same as leaving the field out."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    messages: Annotated[list[Message], Meta(min_length=1)]

    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    stop: Annotated[str, Meta(min_length=1)] | list[Annotated[str, Meta(min_length=1)]] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    logit_bias: dict[str, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    response_format: TextFormat | JsonObjectFormat | JsonSchemaFormat | None = None
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    # Extensions that several engines share.
    top_k: int | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=2)] | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    cache_salt: str | None = None

    # Fields without an effect on the answer: accepted, because clients send them unasked.
    user: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None

    # What no engine here does. Clients that write every field they know write null.
    audio: None = None
    function_call: None = None
    functions: None = None
    modalities: list[Literal["text"]] | None = None
    moderation: None = None
    prediction: None = None
    verbosity: None = None
    web_search_options: None = None

    @property
    def completion_limit(self) -> int | None:
        """The caller's own bound on generated tokens, under either of its names."""
        return self.max_completion_tokens or self.max_tokens

    def images(self) -> Iterator[tuple[str, str]]:
        """Yield each image's address, with the path of its part in the body."""
        for number, message in enumerate(self.messages):
            if isinstance(message.content, list):
                for place, part in enumerate(message.content):
                    if isinstance(part, ImagePart):
                        yield part.image_url.url, f"messages[{number}].content[{place}]"

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with a usage chunk."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)


# How deep schemas and other free-form values may go. TGI's own reader stops at 128; and what is read here with the last
# of the stack could not be written again from further down.
MAX_NESTING = 64

_decoder = msgspec.json.Decoder(Chat)
_field = re.compile(r" - at `\$\.?(.*?)`$")
_named = re.compile(r"(?:unknown|required) field `(.*?)`")


def parse(body: bytes) -> Chat:
    """Read a request body. Raises InvalidRequest, with the path of the offending parameter where there is one."""
    try:
        chat = _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBody(f"The body is not valid JSON: {error}") from None
    if chat.max_tokens and chat.max_completion_tokens:
        raise InvalidRequest("Give max_tokens or max_completion_tokens, not both.", param="max_completion_tokens")
    if len(chat.messages) > settings.MAX_MESSAGES:
        raise InvalidRequest(f"At most {settings.MAX_MESSAGES} messages are accepted.", param="messages")
    if chat.stream_options is not None and not chat.stream:
        raise InvalidRequest("stream_options is only allowed when stream is true.", param="stream_options")
    if chat.top_logprobs and not chat.logprobs:
        raise InvalidRequest("top_logprobs is only allowed when logprobs is true.", param="top_logprobs")
    if chat.tool_choice not in (None, "none") and not chat.tools:
        raise InvalidRequest("tool_choice is only allowed when tools are given.", param="tool_choice")
    for number, message in enumerate(chat.messages):
        _check_message(message, f"messages[{number}]")
    wanted = chat.response_format
    if isinstance(wanted, JsonObjectFormat) and wanted.value is not None:
        schema = JsonSchema(name="answer", schema=wanted.value)
        chat = msgspec.structs.replace(chat, response_format=JsonSchemaFormat(schema))
    for path, value in _free_form(chat):
        _check_nesting(value, path)
    return chat


def _check_message(message: Message, path: str) -> None:
    """Refuse turns that no chat template can render."""
    speaks = message.content is not UNSET and message.content is not None
    if message.role == "assistant":
        if not speaks and not message.tool_calls:
            raise InvalidRequest("An assistant message needs content or tool_calls.", param=f"{path}.content")
        return
    if not speaks:
        raise InvalidRequest(f"A {message.role} message needs content.", param=f"{path}.content")
    if message.tool_calls:
        raise InvalidRequest("Only an assistant message has tool_calls.", param=f"{path}.tool_calls")
    if message.role == "tool" and not message.tool_call_id:
        raise InvalidRequest("A tool message needs tool_call_id.", param=f"{path}.tool_call_id")


def _free_form(chat: Chat) -> Iterator[tuple[str, Any]]:
    """Name every value whose inside is the caller's own affair."""
    for name in ("metadata", "chat_template_kwargs", "prompt_cache_options"):
        yield name, getattr(chat, name)
    if isinstance(chat.response_format, JsonSchemaFormat):
        yield "response_format.json_schema.schema", chat.response_format.json_schema.schema
    for number, tool in enumerate(chat.tools or ()):
        yield f"tools[{number}].function.parameters", tool.function.parameters
    for number, message in enumerate(chat.messages):
        if message.annotations or message.parsed:
            yield f"messages[{number}].annotations", message.annotations
            yield f"messages[{number}].parsed", message.parsed
        for place, call in enumerate(message.tool_calls or ()):
            yield f"messages[{number}].tool_calls[{place}].function.parsed_arguments", call.function.parsed_arguments


def _check_nesting(value: Any, path: str) -> None:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_NESTING + 1):
        if not level:
            return
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
    raise InvalidRequest(f"At most {MAX_NESTING} levels of nesting are accepted.", param=path)


def _invalid(reason: str) -> InvalidRequest:
    """Turn msgspec's sentence into ours, with the parameter's path apart."""
    place = _field.search(reason)
    path = place.group(1) if place else ""
    named = _named.search(reason)
    if named:
        path = f"{path}.{named.group(1)}".lstrip(".")
        sentence = "Unknown parameter" if "unknown" in reason else "Missing parameter"
        return InvalidRequest(f"{sentence}: {path}", param=path)
    if reason.startswith("Expected `null`,") or path.startswith("modalities["):
        return UnsupportedParameter(f"{path} is not supported here: leave it out.", param=path)
    sentence = _field.sub("", reason)
    return InvalidRequest(f"{path}: {sentence}" if path else sentence, param=path or None)
