"""Reads an event that is not written as nearly every server writes it: what can be understood is.

What nobody reads may have any type; numbers may be text, lists may be single, text may come in parts. What would be a
piece of the answer and cannot be understood is an ``Unreadable``: the answer would lack it in silence.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Raw

from inference.engines.characters import whole
from inference.engines.events import (
    NULL,
    CachedTokens,
    Event,
    Timings,
    WireChoice,
    WireDelta,
    WireFunction,
    WireToolCall,
    WireUsage,
)

DONE: Final = "[DONE]"
# No count is as large; a number with more digits is read as a float, which no count is.
_MAX_COUNT: Final = 2**53
_MAX_DIGITS: Final = 32
# Deeper than anything that is read here; what lies below is left out where it is too deep for Python's reader.
_MAX_DEPTH: Final = 64
_STRUCTURE: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_BLANK: Final = " \t\r\n\0\ufeff"
# What stands in the place of a log-probability that JSON has no word for, as in OpenAI's API.
_IMPROBABLE: Final = -9999.0

_USAGE: Final = {
    "prompt_tokens": ("prompt_tokens", "input_tokens"),
    "completion_tokens": ("completion_tokens", "output_tokens"),
    "cached_tokens": ("prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens"),
}
_REASONING: Final = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
_ARGUMENTS: Final = ("arguments", "parameters", "input", "args")
# Where the words of a part may stand.
_WORDS: Final = ("text", "content", "thinking", "reasoning", "summary")
# Parts of a message that are no part of the answer.
_UNSAID: Final = ("redacted", "encrypted", "signature", "annotation")


class WholeChoice(WireChoice):
    """A choice that came with a message in the place of a delta."""


class Unreadable(ValueError):
    """An engine wrote what would be a piece of the answer, in a way that nobody can read."""


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


_decoder: Final = json.JSONDecoder(strict=False, parse_int=_integer)


def events(data: bytes) -> Iterator[Event | None]:
    """Read all that stands in one event's data; None for the end of the stream. Raises Unreadable."""
    for document in _documents(_text(data)):
        for each in document if isinstance(document, list) else [document]:
            if isinstance(each, dict):
                yield _event(each)
            elif each == DONE:
                yield None


def logprobs(written: bytes) -> Raw:
    """Return log-probabilities as JSON that every client can read. Raises Unreadable if they are none."""
    told = next(_documents(_text(written)), None)
    if not (isinstance(told, dict) and isinstance(told.get("content"), list)):
        raise Unreadable("log-probabilities")
    return _raw(told)


def unknown_fields(data: bytes) -> set[str]:
    """Return what an event's delta or message has that nobody here reads, and that is not empty."""
    known = {"role", "content", "tool_calls", "refusal", "function_call", "index", "name", "id", *_REASONING}
    found: set[str] = set()
    try:
        for document in _documents(_text(data)):
            choices = _list(document.get("choices")) if isinstance(document, dict) else []
            for choice in choices:
                said = (choice.get("delta") or choice.get("message")) if isinstance(choice, dict) else None
                found |= {name for name, value in said.items() if value} - known if isinstance(said, dict) else set()
    except (Unreadable, RecursionError):
        pass
    return found


def _text(data: bytes) -> str:
    """Return the bytes as text; those that are no UTF-8 come as lone surrogates, which ``characters`` joins."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogateescape")


def _documents(text: str) -> Iterator[Any]:
    """Yield each JSON value; servers that end events with one line feed send several at once."""
    rest = text.lstrip(_BLANK)
    while rest:
        if rest.startswith(DONE):
            document, end = DONE, len(DONE)
        else:
            try:
                document, end = _decoder.raw_decode(rest)
            except RecursionError:
                rest = _shallow(rest)
                document, end = _decoder.raw_decode(rest)
            except ValueError as error:
                raise Unreadable("no JSON") from error
        yield document
        rest = rest[end:].lstrip(_BLANK)


def _shallow(text: str) -> str:
    """Leave out what is nested deeper than anything that is read. Raises Unreadable for brackets that do not match."""
    kept: list[str] = []
    depth = start = 0
    for token in _STRUCTURE.finditer(text):
        bracket = token.group()
        if bracket in "[{":
            depth += 1
            if depth == _MAX_DEPTH:
                kept.append(text[start : token.start()])
        elif bracket in "]}":
            depth -= 1
            if depth == _MAX_DEPTH - 1:
                kept.append("null")
                start = token.end()
    if depth:
        raise Unreadable("no JSON")
    return "".join([*kept, text[start:]])


def _event(written: dict[str, Any]) -> Event:
    choices = [_choice(choice) for choice in _list(written.get("choices")) if choice is not None]
    return Event(
        choices=choices,
        usage=_usage(written.get("usage")),
        timings=_timings(written.get("timings")),
        error=_raw_if_any(written.get("error")),
        message=_raw_if_any(written.get("message")),
        code=_raw_if_any(written.get("code")),
    )


def _choice(written: object) -> WireChoice:
    if not isinstance(written, dict):
        raise Unreadable("a choice")
    delta, message = written.get("delta"), written.get("message")
    is_message = not delta and bool(message)
    if delta is None and not message:
        delta = _plain(written.get("text")) or None
    index = count_of(written.get("index"))
    return (WholeChoice if is_message else WireChoice)(
        index=index if index and index > 0 else 0,
        delta=_delta(message if is_message else delta),
        finish_reason=_finish_reason(written.get("finish_reason")),
        logprobs=_raw_if_any(written.get("logprobs")),
        usage=_usage(written.get("usage")),
    )


def _delta(written: object) -> WireDelta | None:
    if not written:
        return None if written is None else WireDelta()
    if isinstance(written, (str, list)):
        # A text alone, or its parts.
        written = {"content": written}
    if not isinstance(written, dict):
        raise Unreadable("a delta")
    parts = [_part(part) for part in _list(written.get("content"))]
    reasoning = "".join(part.reasoning or "" for part in parts)
    refusal = "".join(part.refusal or "" for part in parts)
    call = written.get("function_call")
    return WireDelta(
        content="".join(part.content or "" for part in parts) or None,
        reasoning=next(filter(None, (_plain(written.get(name)) for name in _REASONING)), reasoning) or None,
        tool_calls=[_tool_call(each) for each in _list(written.get("tool_calls")) if each is not None] or None,
        refusal=_plain(written.get("refusal")) or refusal or None,
        function_call=_function(call) if call else None,
    )


def _part(written: object) -> WireDelta:
    """Read a message's content, or one of its parts."""
    if not isinstance(written, dict):
        return WireDelta(content=_plain(written))
    kind = str(written.get("type") or "").lower()
    if any(word in kind for word in _UNSAID):
        return WireDelta()
    if "reasoning" in kind or "thinking" in kind:
        return WireDelta(reasoning=_plain(written))
    if "refusal" in kind:
        return WireDelta(refusal=_plain(written.get("refusal") or written.get("text")))
    if not written or "text" in written or "content" in written:
        return WireDelta(content=_plain(written))
    raise Unreadable(f"a part of the type {kind[:40]}")


def _plain(written: object) -> str:
    """Return the words in a value of any shape; a number says its digits."""
    if isinstance(written, list):
        return "".join([_plain(each) for each in written])
    if isinstance(written, dict):
        is_unsaid = any(word in str(written.get("type")).lower() for word in _UNSAID)
        told = None if is_unsaid else next((written[name] for name in _WORDS if written.get(name)), None)
        return _plain(told)
    if written is None or isinstance(written, str):
        return written or ""
    return json.dumps(written)


def _tool_call(written: object) -> WireToolCall:
    if not isinstance(written, dict):
        raise Unreadable("a tool call")
    identity, function = written.get("id"), written.get("function")
    return WireToolCall(
        index=count_of(written.get("index")),
        id=str(identity) if isinstance(identity, (str, int)) and identity else None,
        # Some write the function's fields beside the call's own.
        function=_function(
            written | (function if isinstance(function, dict) else {"name": function or written.get("name")})
        ),
    )


def _function(written: object) -> WireFunction:
    if not isinstance(written, dict):
        raise Unreadable("a function call")
    name = written.get("name")
    if not (name is None or isinstance(name, str)):
        raise Unreadable("a function's name")
    arguments = next((written[field] for field in _ARGUMENTS if written.get(field) is not None), None)
    is_text = arguments is None or isinstance(arguments, str)
    return WireFunction(name, arguments if is_text else _json(arguments, None))


def _finish_reason(written: object) -> str | None:
    if isinstance(written, dict):
        written = written.get("type") or written.get("reason")
    if not written:
        return None
    # A bare "yes" is an end.
    return written if isinstance(written, str) else "stop"


def _usage(written: object) -> WireUsage | None:
    if not isinstance(written, dict):
        return None
    told = {
        field: next((count for name in names if (count := count_of(written.get(name))) is not None), None)
        for field, names in _USAGE.items()
    }
    details = written.get("prompt_tokens_details")
    cached = count_of(details.get("cached_tokens")) if isinstance(details, dict) else None
    return WireUsage(told["prompt_tokens"], told["completion_tokens"], CachedTokens(cached or told["cached_tokens"]))


def _timings(written: object) -> Timings | None:
    if not isinstance(written, dict):
        return None
    told = {name: count_of(written.get(name)) for name in ("prompt_n", "cache_n", "predicted_n")}
    return Timings(**{name: count for name, count in told.items() if count is not None}) if any(told.values()) else None


def count_of(written: object) -> int | None:
    """Return a whole number, however it is written; None for anything else."""
    if isinstance(written, str):
        try:
            written = float(written) if len(written) <= _MAX_DIGITS else None
        except ValueError:
            return None
    if isinstance(written, bool) or not isinstance(written, (int, float)) or not abs(written) < _MAX_COUNT:
        return None
    return int(written) if written == int(written) else None


def _list(written: object) -> list[Any]:
    """Return a list as it is, one thing as a list of it, and nothing as an empty one."""
    if isinstance(written, list):
        return written
    return [] if written is None or written in ({}, "") else [written]


def _raw_if_any(written: object) -> Raw:
    return _raw(written) if written else NULL


def _raw(written: object) -> Raw:
    return Raw(_json(written, _IMPROBABLE).encode())


def _json(value: object, instead: float | None) -> str:
    """Write JSON, with something else instead of numbers that it has no word for."""

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {clean(name): clean(each) for name, each in value.items()}
        if isinstance(value, list):
            return [clean(each) for each in value]
        if isinstance(value, float) and not math.isfinite(value):
            return instead
        return whole(value) if isinstance(value, str) else value

    return json.dumps(clean(value), ensure_ascii=False, separators=(",", ":"))
