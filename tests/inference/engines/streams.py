"""Streams of an engine, built piece by piece."""

import json
from typing import Any

KINDS = ("openai", "llamacpp", "tgi")
COUNTS = {"prompt_tokens": 10, "completion_tokens": 5}


def chunk(delta: Any = None, finish_reason: Any = None, **more: Any) -> dict[str, Any]:
    """Return one chunk of a stream."""
    return {"choices": [{"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish_reason} | more]}


def stream(*events: Any, end: Any = "stop", counts: Any = COUNTS) -> bytes:
    """Return a whole stream: these events, a finish reason, counts and ``[DONE]``; bytes are an event's own data."""
    last = [chunk({}, end)] if end is not None else []
    told = [{"choices": [], "usage": counts}] if counts is not None else []
    datas = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in (*events, *last, *told)]
    return b"".join(b"data: %b\n\n" % data for data in [*datas, b"[DONE]"])


def call(name: Any = None, arguments: Any = None, **more: Any) -> dict[str, Any]:
    """Return a piece of a tool call."""
    function = {"name": name, "arguments": arguments}
    return {"type": "function", "function": {key: each for key, each in function.items() if each is not None}} | more


def calls(*pieces: dict[str, Any]) -> dict[str, Any]:
    """Return a chunk with pieces of tool calls."""
    return chunk({"tool_calls": list(pieces)})
