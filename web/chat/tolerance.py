"""What clients send besides OpenAI's own words: translated where it means something here, left out and named where not.

Only a request that the strict parser refuses comes here. What would change the answer and cannot be done stays as it
is, for the parser to refuse by its name.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from inference.chat import Chat
from inference.errors import InvalidRequest
from web.chat import shapes, tools
from web.chat.origins import Origins
from web.chat.shapes import Record

# More than any client sends, and few enough to be walked through while others wait.
MAX_PARTS: Final = 16_384

# Parameters that clients are known to send, and without which the answer is still what they asked for: hints, what
# other providers gave back, and the words of tools that measure.
CARRIED_ALONG: Final = frozenset(
    [
        *("cache_control", "client_metadata", "extra_content", "ignore_eos", "include_reasoning", "provider"),
        *("prompt_cache_breakpoint", "provider_specific_fields", "reasoning_details", "session_id", "thinking"),
        *("thinking_blocks", "transforms", "usage", "verbosity"),
    ]
)
# The same parameter under another server's name.
OTHER_NAMES: Final = {"repeat_penalty": "repetition_penalty"}

_TEXT_PARTS = {"refusal": "refusal", "input_text": "text", "output_text": "text"}
# What a model thought, as other providers give it back among the parts; templates have no place for it.
_THOUGHTS = ("thinking", "redacted_thinking", "reasoning", "reasoning_content")
_DETAILS = ("auto", "low", "high", None)


class Tidied(msgspec.Struct):
    """A request in the words of ``Chat``. ``fields`` is changed in place while it is tidied."""

    fields: dict[str, Any]
    # What was left out, by its path in the body.
    ignored: list[str] = []
    # Custom tools, which engines see as functions with one text.
    custom_tools: set[str] = set()
    # Whether functions came in OpenAI's old words, which the answer then uses too.
    has_old_functions: bool = False
    original: Origins = msgspec.field(default_factory=Origins)


def tidy(fields: dict[str, Any]) -> Tidied:
    """Return a decoded request as ``Chat`` has it. Raises InvalidRequest for more parts than are looked through."""
    tidied = Tidied(fields)
    _rename(tidied)
    messages = fields.get("messages")
    if isinstance(messages, list):
        if sum(len(parts) for parts in _lists_in(messages)) > MAX_PARTS:
            raise InvalidRequest(f"At most {MAX_PARTS} parts of messages are accepted.", param="messages")
        tools.modernize_turns(messages)
        for number, message in enumerate(messages):
            if isinstance(message, dict):
                _tidy_message(message, f"messages[{number}]", tidied.ignored)
    tidied.has_old_functions = tools.modernize(fields, tidied.original)
    tidied.custom_tools = tools.tidy_tools(fields, tidied.ignored, tidied.original)
    tools.tidy_choice(fields)
    for name in ("messages", "tools", "tool_choice", "stream_options"):
        ignored = shapes.prune(fields.get(name), _SHAPES[name], name)
        tidied.ignored += [tidied.original(path) for path in ignored]
    return tidied


def _rename(tidied: Tidied) -> None:
    """Give parameters their name here, and leave out what is only carried along."""
    fields = tidied.fields
    for other, own in OTHER_NAMES.items():
        if other in fields and fields.get(own) is None:
            fields[own] = fields.pop(other)
            tidied.original.note(own, other)
    reasoning = fields.get("reasoning")
    if isinstance(reasoning, dict):
        # OpenRouter's and the Responses API's way to say how long to think.
        del fields["reasoning"]
        if fields.get("reasoning_effort") is None and "effort" in reasoning:
            fields["reasoning_effort"] = reasoning.pop("effort")
            tidied.original.note("reasoning_effort", "reasoning.effort")
        tidied.ignored += [f"reasoning.{name}" for name in reasoning]
    wanted = fields.get("response_format")
    if isinstance(wanted, dict) and wanted.get("type") == "json_object" and "schema" in wanted:
        wanted["value"] = wanted.pop("schema")
        tidied.original.note("response_format.value", "response_format.schema")
    for name in CARRIED_ALONG & set(fields):
        if fields.pop(name) is not None:
            tidied.ignored.append(name)


def _lists_in(messages: list[Any]) -> Iterator[list[Any]]:
    for message in messages:
        if isinstance(message, dict):
            yield from (part for part in (message.get("content"), message.get("tool_calls")) if isinstance(part, list))


def _tidy_message(message: dict[str, Any], path: str, ignored: list[str]) -> None:
    """Put what a turn says into the content, where templates look for it."""
    content = message.get("content")
    if isinstance(content, list):
        message["content"] = _tidy_parts(content, f"{path}.content", ignored)
    elif content is None and message.get("role") == "assistant" and not message.get("tool_calls"):
        refusal = message.get("refusal")
        if refusal and isinstance(refusal, str):
            message["content"] = refusal
        elif any(message.get(name) for name in ("reasoning", "reasoning_content", "reasoning_details", *_THOUGHTS)):
            # It only thought.
            message["content"] = ""
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        for call in calls:
            if isinstance(call, dict):
                tools.tidy_call(call)


def _tidy_parts(parts: list[Any], path: str, ignored: list[str]) -> list[Any] | str:
    kept = []
    for place, part in enumerate(parts):
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(kind, str):
            kept.append(part)
        elif kind in _THOUGHTS:
            ignored.append(f"{path}[{place}]")
        elif kind in _TEXT_PARTS:
            kept.append({"type": "text", "text": part.get(_TEXT_PARTS[kind])})
        else:
            kept.append(_tidy_image(part, f"{path}[{place}]", ignored) if "image" in kind else part)
    return kept or ""


def _tidy_image(part: dict[str, Any], path: str, ignored: list[str]) -> dict[str, Any]:
    """Return an image part whose address is where it belongs, and whose detail is one that servers know."""
    image = part.get("image_url")
    if isinstance(image, str):
        image = {"url": image} | ({"detail": part["detail"]} if "detail" in part else {})
    if isinstance(image, dict) and image.get("detail") not in _DETAILS:
        image = {name: value for name, value in image.items() if name != "detail"}
        ignored.append(f"{path}.image_url.detail")
    kind = "image_url" if part["type"] == "input_image" else part["type"]
    return part | {"type": kind, "image_url": image}


_SHAPES: Final[dict[str, Record]] = shapes.fields_of(Chat)
