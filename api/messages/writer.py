"""Chunks as Anthropic tells them: a message of blocks, and events that build it.

Shapes: Anthropic's API reference, "Create a Message" and "Streaming messages".
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from api.messages.errors import error_fields
from api.messages.request import Asked
from core.ids import request_id
from inference.chunks import NOTHING, Chunk, ToolCallDelta, Usage
from web.errors import Problem

_encode = msgspec.json.Encoder().encode

_STOP_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}

Events = Iterator[tuple[str, dict[str, Any]]]


class MessageWriter:
    """Writes one message. Its blocks come one behind the other; of several calls, all but the first come in the end."""

    def __init__(self, run_id: str, asked: Asked) -> None:
        self._run_id = run_id
        self._asked = asked
        self._model = asked.model
        self._blocks: list[dict[str, Any]] = []
        self._is_open = False
        # The call that is being told, and what came meanwhile of others.
        self._call: int | None = None
        self._waiting: dict[int, list[ToolCallDelta]] = {}
        self._waiting_text: list[tuple[str, str]] = []
        self._stop_reason: str | None = None

    def set_model(self, model_id: str) -> None:
        """Name the model that answers."""
        self._model = model_id

    def opening(self, usage: Usage = NOTHING) -> bytes:
        """Write the first event; the prompt's tokens are told there as far as they are known."""
        message = self._message(usage) | {"content": [], "stop_reason": None}
        return _written([("message_start", {"message": message}), ("ping", {})])

    def events(self, chunks: Iterable[Chunk]) -> bytes:
        """Write chunks as they came, in one piece."""
        return _written(event for chunk in chunks for event in self._take(chunk))

    def ending(self, usage: Usage) -> bytes:
        """Write the events that close the message."""
        events = list(self._close())
        delta = {"stop_reason": self._stop_reason or "end_turn", "stop_sequence": None}
        return _written(
            [*events, ("message_delta", {"delta": delta, "usage": usage_fields(usage)}), ("message_stop", {})]
        )

    def failure(self, problem: Problem, usage: Usage | None) -> bytes:
        """Write the event that ends a message which broke after it had begun."""
        fields = error_fields(problem, request_id(self._run_id))
        return b"event: error\ndata: %s\n\n" % _encode(fields)

    def whole(self, chunks: Iterable[Chunk], usage: Usage) -> bytes:
        """Write the whole message."""
        for chunk in chunks:
            for _ in self._take(chunk):
                pass
        for _ in self._close():
            pass
        return _encode(self._message(usage) | {"stop_reason": self._stop_reason or "end_turn"})

    def _message(self, usage: Usage) -> dict[str, Any]:
        return {
            "id": f"msg_{self._run_id}",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [_finished(block) for block in self._blocks],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_fields(usage),
        }

    def _take(self, chunk: Chunk) -> Events:
        if chunk.reasoning and self._asked.shows_thoughts:
            yield from self._say("thinking", chunk.reasoning)
        if text := f"{chunk.content or ''}{chunk.refusal or ''}":
            yield from self._say("text", text)
        for delta in chunk.tool_calls:
            if self._call not in (None, delta.index) or delta.index in self._waiting:
                self._waiting.setdefault(delta.index, []).append(delta)
            else:
                yield from self._tell_call(delta)
        if chunk.finish_reason:
            self._stop_reason = _STOP_REASONS.get(chunk.finish_reason, "end_turn")

    def _say(self, kind: str, text: str) -> Events:
        if self._call is not None:
            self._waiting_text.append((kind, text))
            return
        if not self._is_open or self._blocks[-1]["type"] != kind:
            yield from self._end()
            block = {"type": kind, kind: ""} | ({"signature": ""} if kind == "thinking" else {})
            yield from self._begin(block)
        self._blocks[-1].setdefault("pieces", []).append(text)
        yield "content_block_delta", {"index": self._place, "delta": {"type": f"{kind}_delta", kind: text}}

    def _tell_call(self, delta: ToolCallDelta) -> Events:
        function = delta.function
        if self._call != delta.index:
            yield from self._end()
            self._call = delta.index
            name = (function.name if function else None) or ""
            fields = {"id": delta.id or "", "name": self._asked.names.get(name, name), "input": {}}
            yield from self._begin({"type": "tool_use", **fields})
        if function and function.arguments:
            self._blocks[-1].setdefault("pieces", []).append(function.arguments)
            piece = {"type": "input_json_delta", "partial_json": function.arguments}
            yield "content_block_delta", {"index": self._place, "delta": piece}

    @property
    def _place(self) -> int:
        return len(self._blocks) - 1

    def _begin(self, block: dict[str, Any]) -> Events:
        self._blocks.append(dict(block))
        self._is_open = True
        yield "content_block_start", {"index": self._place, "content_block": block}

    def _end(self) -> Events:
        if self._is_open:
            self._is_open = False
            if self._blocks[-1]["type"] == "thinking":
                signature = {"type": "signature_delta", "signature": self._run_id}
                self._blocks[-1]["signature"] = self._run_id
                yield "content_block_delta", {"index": self._place, "delta": signature}
            yield "content_block_stop", {"index": self._place}

    def _close(self) -> Events:
        """End what is still open, and tell what waited for it."""
        for deltas in self._waiting.values():
            for delta in deltas:
                yield from self._tell_call(delta)
        self._call = None
        for kind, text in self._waiting_text:
            yield from self._say(kind, text)
        yield from self._end()


def _finished(block: dict[str, Any]) -> dict[str, Any]:
    """Return a block with its pieces put together."""
    told = {name: value for name, value in block.items() if name != "pieces"}
    whole = "".join(block.get("pieces", ()))
    if block["type"] == "tool_use":
        try:
            told["input"] = msgspec.json.decode(whole) if whole else {}
        except msgspec.DecodeError:
            # It was cut short.
            told["input"] = {}
        return told
    return told | {block["type"]: whole}


def _written(events: Iterable[tuple[str, dict[str, Any]]]) -> bytes:
    return b"".join(
        [b"event: %s\ndata: %s\n\n" % (name.encode(), _encode({"type": name, **fields})) for name, fields in events]
    )


def usage_fields(usage: Usage) -> dict[str, Any]:
    """Return tokens in Anthropic's shape, where what was read from a cache is counted apart."""
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
    }
