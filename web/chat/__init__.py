"""The one parser of OpenAI's chat requests, for the API and the browser alike: bytes in, a typed ``Chat`` out.

A parameter that we do not know is refused by name. What clients merely carry along, inside of messages and tools, is
left out and named (``tolerance``); a request without any of it is read at once, by one typed decoder.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec
from django.conf import settings
from msgspec import UNSET

from inference.chat import Chat, JsonObjectFormat, JsonSchema, JsonSchemaFormat, Message
from inference.errors import InvalidRequest, MalformedBody, UnsupportedParameter
from inference.schemas import Measured
from web.chat.tolerance import tidy

# How deep schemas and other free-form values may go. TGI's own reader stops at 128; and what is read here with the last
# of the stack could not be written again from further down.
MAX_NESTING = 64
# The same for a whole parameter, with such values somewhere inside.
MAX_PARAMETER_NESTING = 96
# Templates go through them for every request.
MAX_TEMPLATE_KWARGS_BYTES = 16_384

# A body of more values than this is not looked through a second time: each is an object in memory.
MAX_VALUES = 500_000

Request = TypeVar("Request")

_decoder = msgspec.json.Decoder(Chat)
_field = re.compile(r" - at `\$\.?([^`]*)`\Z")
_named = re.compile(r"(?:unknown|required) field `(.*?)`(?: - at `|\Z)", re.DOTALL)
# Kinds of parts that OpenAI has and no engine here takes.
_OTHER_PARTS = ("input_audio", "file", "input_file", "video_url", "audio_url")


class Parsed(msgspec.Struct, frozen=True):
    """A chat request, and what is to be known of how it was written."""

    chat: Chat
    # What was left out, by its path in the body.
    ignored: tuple[str, ...] = ()
    # The functions that the client knows as custom tools.
    custom_tools: frozenset[str] = frozenset()
    # Whether the client speaks of functions in OpenAI's old words, without tools.
    has_old_functions: bool = False


def parse(body: bytes) -> Chat:
    """Read a request body. Raises InvalidRequest, with the path of the offending parameter where there is one."""
    return read(body).chat


def read(body: bytes) -> Parsed:
    """Read a request body and what was left out of it. Raises InvalidRequest as ``parse`` does."""
    try:
        return Parsed(check(_decoder.decode(body)))
    except msgspec.ValidationError as error:
        refusal = invalid(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBody(f"The body is not valid JSON: {error}") from None
    except InvalidRequest as error:
        refusal = error
    try:
        fields = decode(body)
    except InvalidRequest:
        raise refusal from None
    if is_long(fields.get("messages")):
        raise refusal
    tidied = tidy(fields)
    chat = chat_of(tidied.fields, tidied.original)
    return Parsed(chat, tuple(tidied.ignored), frozenset(tidied.custom_tools), tidied.has_old_functions)


def decode(body: bytes) -> dict[str, Any]:
    """Read a body as an object of anything. Raises InvalidRequest, also for one of very many values."""
    if sum(body.count(mark) for mark in (b"[", b"{", b",")) > MAX_VALUES:
        raise InvalidRequest(f"At most {MAX_VALUES} values are accepted.")
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBody(f"The body is not valid JSON: {error}") from None
    if not isinstance(fields, dict):
        raise InvalidRequest("The body is a JSON object.")
    check_parameters(fields)
    return fields


def read_as(decoder: msgspec.json.Decoder[Request], body: bytes) -> Request:
    """Read a body as a typed request. Raises InvalidRequest, with the path of the offending parameter."""
    if sum(body.count(mark) for mark in (b"[", b"{", b",")) > MAX_VALUES:
        raise InvalidRequest(f"At most {MAX_VALUES} values are accepted.")
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBody(f"The body is not valid JSON: {error}") from None


def chat_of(fields: dict[str, Any], original: Callable[[str], str] = str) -> Chat:
    """Return the chat that a translated request is. Raises InvalidRequest; ``original`` says where a path came from."""
    try:
        return check(msgspec.convert(fields, Chat))
    except msgspec.ValidationError as error:
        raise invalid(str(error), original) from None
    except RecursionError:
        raise MalformedBody("The body is nested too deeply.") from None
    except InvalidRequest as error:
        error.param = original(error.param) if error.param else None
        raise


def is_long(messages: Any) -> bool:
    """Whether these are more messages than are accepted."""
    return isinstance(messages, list) and len(messages) > settings.MAX_MESSAGES


def check(chat: Chat) -> Chat:
    """Refuse what is of the right type and cannot be meant, whichever protocol it came by. Raises InvalidRequest."""
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
    _check_schemas(chat)
    return chat


def check_parameters(parameters: dict[str, Any]) -> None:
    """Refuse parameters that go so deep that they could not be written again. Raises InvalidRequest."""
    for name, value in parameters.items():
        _check_nesting(value, name, MAX_PARAMETER_NESTING)


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


def _check_schemas(chat: Chat) -> None:
    """Refuse what would cost an engine far more than it looks like."""
    measured = Measured()
    if isinstance(chat.response_format, JsonSchemaFormat) and chat.response_format.json_schema.schema is not None:
        measured.add(chat.response_format.json_schema.schema, "response_format.json_schema.schema")
    for number, tool in enumerate(chat.tools or ()):
        if tool.function.parameters:
            measured.add(tool.function.parameters, f"tools[{number}].function.parameters")
    kwargs = chat.chat_template_kwargs
    if kwargs and len(msgspec.json.encode(kwargs)) > MAX_TEMPLATE_KWARGS_BYTES:
        raise InvalidRequest(
            f"chat_template_kwargs may have {MAX_TEMPLATE_KWARGS_BYTES} bytes as JSON.", param="chat_template_kwargs"
        )


def _check_nesting(value: Any, path: str, most: int = MAX_NESTING) -> None:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(most + 1):
        if not level:
            return
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
    raise InvalidRequest(f"At most {most} levels of nesting are accepted.", param=path)


def invalid(reason: str, original: Callable[[str], str] = str) -> InvalidRequest:
    """Turn msgspec's sentence into ours, with the path apart of what the client sent."""
    place = _field.search(reason)
    path = original(place.group(1)) if place else ""
    named = _named.search(reason)
    if named:
        path = original(f"{path}.{named.group(1)}".lstrip("."))
        sentence = "Unknown parameter" if "unknown" in reason else "Missing parameter"
        return InvalidRequest(f"{sentence}: {path}", param=path)
    is_other_part = any(reason.startswith(f"Invalid value '{kind}'") for kind in _OTHER_PARTS)
    if reason.startswith("Expected `null`,") or path.startswith("modalities[") or is_other_part:
        return UnsupportedParameter(f"{path} is not supported here: leave it out.", param=path)
    sentence = _field.sub("", reason)
    return InvalidRequest(f"{path}: {sentence}" if path else sentence, param=path or None)
