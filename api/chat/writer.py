"""Chunks as OpenAI's bytes: server-sent events for a stream, one JSON object for a whole answer.

Shapes: OpenAI's API reference, "The chat completion object" and "The chat completion chunk object".
"""

from collections.abc import Iterable, Sequence

import msgspec

from inference.chat import Chat
from inference.chunks import Chunk, Usage
from web.errors import Problem

_encode = msgspec.json.Encoder().encode

DONE = b"data: [DONE]\n\n"


class ChatWriter:
    """Writes one run's answer: in the same bytes, however often. ``created`` is in Unix seconds."""

    def __init__(self, run_id: str, created: int, chat: Chat) -> None:
        self._wants_usage = chat.wants_usage
        self._head = {"id": f"chatcmpl-{run_id}", "created": created, "model": ""}
        self.set_model(chat.model)

    def set_model(self, model_id: str) -> None:
        """Name the model that answers."""
        self._head["model"] = model_id
        head = _encode({"object": "chat.completion.chunk", **self._head})[1:-1]
        self._delta = b"data: {" + head + b',"choices":[{"index":0,"delta":'
        self._usage = b"data: {" + head + b',"choices":[],"usage":'

    def opening(self) -> bytes:
        """Write the first event, which only says who speaks."""
        return self._delta + b'{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}\n\n'

    def events(self, chunks: Iterable[Chunk]) -> bytes:
        """Write chunks as they came, in one piece; a chunk of usage alone is kept for the end of the stream."""
        return b"".join([self._event(chunk) for chunk in chunks if _is_shown(chunk)])

    def ending(self, usage: Usage) -> bytes:
        """Write the event that carries the usage, if that is wanted, and the end of the stream."""
        return self._usage_event(usage) + DONE

    def failure(self, problem: Problem, usage: Usage | None) -> bytes:
        """Write what ends a stream that broke after its first token."""
        return self._usage_event(usage) + b"data: " + _encode(problem.body) + b"\n\n" + DONE

    def whole(self, chunks: Sequence[Chunk], usage: Usage) -> bytes:
        """Write a whole answer."""
        text = "".join([chunk.content for chunk in chunks if chunk.content])
        reasoning = "".join([chunk.reasoning for chunk in chunks if chunk.reasoning])
        tool_calls = _join_tool_calls(chunks)
        refusal = "".join([chunk.refusal for chunk in chunks if chunk.refusal]) or None
        content = text or (None if tool_calls or refusal else "")
        message: dict[str, object] = {"role": "assistant", "content": content, "refusal": refusal}
        if reasoning:
            message |= {"reasoning": reasoning, "reasoning_content": reasoning}
        if tool_calls:
            message["tool_calls"] = tool_calls
        finish_reason = next((chunk.finish_reason for chunk in reversed(chunks) if chunk.finish_reason), None)
        choice = {"index": 0, "message": message, "logprobs": _join_logprobs(chunks), "finish_reason": finish_reason}
        body = {**self._head, "object": "chat.completion", "choices": [choice], "usage": usage_fields(usage)}
        return _encode(body)

    def _usage_event(self, usage: Usage | None) -> bytes:
        return self._usage + _encode(usage_fields(usage)) + b"}\n\n" if usage and self._wants_usage else b""

    def _event(self, chunk: Chunk) -> bytes:
        logprobs = b"null" if chunk.logprobs is None else _one_line(bytes(chunk.logprobs))
        finish_reason = b"null" if chunk.finish_reason is None else b'"%s"' % chunk.finish_reason.encode()
        return b'%s%s,"logprobs":%s,"finish_reason":%s}]}\n\n' % (
            self._delta,
            _delta(chunk),
            logprobs,
            finish_reason,
        )


def _one_line(json: bytes) -> bytes:
    """Return the engine's own JSON without line breaks, which would end the event."""
    return json.replace(b"\n", b"").replace(b"\r", b"") if b"\n" in json or b"\r" in json else json


def _is_shown(chunk: Chunk) -> bool:
    return bool(chunk.has_output or chunk.finish_reason or chunk.logprobs is not None)


def _delta(chunk: Chunk) -> bytes:
    if not (chunk.reasoning or chunk.tool_calls or chunk.refusal):
        return b'{"content":%s}' % _encode(chunk.content) if chunk.content else b"{}"
    delta: dict[str, object] = {}
    if chunk.content:
        delta["content"] = chunk.content
    if chunk.reasoning:
        delta |= {"reasoning": chunk.reasoning, "reasoning_content": chunk.reasoning}
    if chunk.tool_calls:
        delta["tool_calls"] = chunk.tool_calls
    if chunk.refusal:
        delta["refusal"] = chunk.refusal
    return _encode(delta)


def usage_fields(usage: Usage) -> dict[str, object]:
    """Return tokens in OpenAI's shape."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def _join_tool_calls(chunks: Sequence[Chunk]) -> list[dict[str, object]]:
    """Put the pieces of each tool call together, in order of their index."""
    identities: dict[int, str] = {}
    names: dict[int, str] = {}
    arguments: dict[int, str] = {}
    for piece in (piece for chunk in chunks for piece in chunk.tool_calls):
        identities[piece.index] = identities.get(piece.index) or piece.id or ""
        if piece.function:
            names[piece.index] = names.get(piece.index) or piece.function.name or ""
            arguments[piece.index] = arguments.get(piece.index, "") + (piece.function.arguments or "")
    return [
        {
            "id": identities[index],
            "type": "function",
            "function": {"name": names.get(index, ""), "arguments": arguments.get(index, "")},
        }
        for index in sorted(identities)
    ]


def _join_logprobs(chunks: Sequence[Chunk]) -> dict[str, list[object]] | None:
    """Put the log probabilities of all tokens into one list."""
    parts = [msgspec.json.decode(chunk.logprobs) for chunk in chunks if chunk.logprobs is not None]
    tokens = [token for part in parts if part for token in part.get("content") or []]
    return {"content": tokens, "refusal": None} if tokens else None  # type: ignore[dict-item]
