"""Chunks as the Responses API tells them: events with a number, and a response that they build.

Shapes: OpenAI's API reference, "The response object" and "Streaming events". The same chunks make the same bytes,
however they arrive: who lost the connection gets the rest of them by the number of the last event that came.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from api.reasoning import reasoning_tokens
from api.responses.output import MESSAGE, REFUSAL, SUMMARY, THOUGHT, Call, CustomCall, Events, Item, Text
from api.responses.request import Asked
from core.errors import Failure
from inference.chunks import NOTHING, Chunk, Usage
from web.errors import Problem

_encode = msgspec.json.Encoder().encode

# What OpenAI calls what ends a response; other codes are the server's own affair.
_CODES: Final = {
    "context_length_exceeded": "context_length_exceeded",
    "insufficient_quota": "insufficient_quota",
    "concurrency_limit_reached": "rate_limit_exceeded",
    "engine_overloaded": "server_is_overloaded",
    "invalid_parameter": "invalid_prompt",
    "unsupported_parameter": "invalid_prompt",
}
# Those that are told with a status too.
_STATUS_CODES: Final = ("engine_overloaded", "concurrency_limit_reached")
_INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}


def error_code(code: str) -> str:
    """Return what an error is called in a response."""
    return _CODES.get(code, "server_error")


def renamed(problem: Problem) -> Problem:
    """Return a problem under the code by which clients of responses know it, if there is one."""
    return msgspec.structs.replace(problem, code=_CODES[problem.code]) if problem.code in _STATUS_CODES else problem


class ResponseWriter:
    """Writes one response. ``created`` is in Unix seconds; events up to ``after`` were sent before."""

    def __init__(self, run_id: str, created: int, asked: Asked, *, after: int = -1) -> None:
        self._run_id = run_id
        self._asked = asked
        self._head = _head(run_id, created, asked)
        self._after = after
        self._number = 0
        self._items: list[Item] = []
        self._text: Text | None = None
        # By the engine's number. They stay open: some engines tell several at once.
        self._calls: dict[int, Call | CustomCall] = {}
        self._finish_reason = ""
        # Whether it was cancelled.
        self.is_stopped = False
        self._sizes = [0, 0]

    def set_model(self, model_id: str) -> None:
        """Name the model that answers."""
        self._head["model"] = model_id

    def opening(self) -> bytes:
        """Write the first two events."""
        response = self._response("in_progress")
        begun = [("response.created", {"response": response}), ("response.in_progress", {"response": response})]
        return self._written(begun)

    def events(self, chunks: Iterable[Chunk]) -> bytes:
        """Write chunks as they came, in one piece."""
        return b"".join([self._written(self._take(chunk)) for chunk in chunks])

    def ending(self, usage: Usage) -> bytes:
        """Write the events that close the response."""
        return self._ending(usage, None)

    def failure(self, problem: Problem, usage: Usage | None) -> bytes:
        """Write the events that close a response which broke off."""
        return self._ending(usage or NOTHING, Failure(problem.code, problem.message))

    def whole(self, chunks: Iterable[Chunk], usage: Usage) -> bytes:
        """Write the whole response."""
        return _encode(self.response(chunks, usage))

    def response(self, chunks: Iterable[Chunk], usage: Usage, failure: Failure | None = None) -> dict[str, Any]:
        """Return the whole response."""
        self._take_all(chunks)
        self._run_through(self._close(bool(failure or self.is_stopped)))
        return self._ended(usage, failure)

    def so_far(self, chunks: Iterable[Chunk]) -> dict[str, Any]:
        """Return the response while it grows."""
        self._take_all(chunks)
        return self._response("in_progress" if self._items else "queued")

    def _take_all(self, chunks: Iterable[Chunk]) -> None:
        for chunk in chunks:
            self._run_through(self._take(chunk))

    def _run_through(self, events: Events) -> None:
        for _ in events:
            pass

    def _ending(self, usage: Usage, failure: Failure | None) -> bytes:
        events = list(self._close(bool(failure or self.is_stopped)))
        response = self._ended(usage, failure)
        return self._written([*events, (f"response.{response['status']}", {"response": response})])

    def _ended(self, usage: Usage, failure: Failure | None) -> dict[str, Any]:
        """Return the response as it is in the end."""
        reason = _INCOMPLETE.get(self._finish_reason)
        more: dict[str, Any] = {"usage": usage_fields(usage, reasoning_tokens(usage, *self._sizes))}
        if self.is_stopped:
            return self._response("cancelled") | more
        if failure:
            error = {"code": error_code(failure.code), "message": failure.message}
            return self._response("failed") | more | {"error": error}
        if reason:
            return self._response("incomplete") | more | {"incomplete_details": {"reason": reason}}
        return self._response("completed") | more

    def _response(self, status: str) -> dict[str, Any]:
        return self._head | {"status": status, "output": [item.so_far() for item in self._items]}

    def _written(self, events: Iterable[tuple[str, dict[str, Any]]]) -> bytes:
        """Write events with their numbers, but for those that were sent before."""
        pieces = []
        for name, fields in events:
            number, self._number = self._number, self._number + 1
            if number > self._after:
                event = _encode({"type": name, "sequence_number": number, **fields})
                pieces.append(b"event: %s\ndata: %s\n\n" % (name.encode(), event))
        return b"".join(pieces)

    def _take(self, chunk: Chunk) -> Events:
        """Add what a chunk brings to the items that it belongs to."""
        if chunk.reasoning:
            self._sizes[0] += len(chunk.reasoning.encode())
            yield from self._say(SUMMARY if self._asked.summarizes else THOUGHT, chunk.reasoning, [])
        if chunk.content:
            self._sizes[1] += len(chunk.content.encode())
            yield from self._say(MESSAGE, chunk.content, _logprobs(chunk))
        if chunk.refusal:
            self._sizes[1] += len(chunk.refusal.encode())
            yield from self._say(REFUSAL, chunk.refusal, [])
        for delta in chunk.tool_calls:
            arguments = delta.function.arguments if delta.function else None
            call = self._calls.get(delta.index)
            if call is None:
                yield from self._end_text("completed")
                name = (delta.function.name if delta.function else None) or ""
                kind = CustomCall if name in self._asked.tools.custom else Call
                call = kind(self._run_id, len(self._items), delta, self._asked.tools.named(name))
                self._calls[delta.index] = call
                self._items.append(call)
                yield from call.begin()
            if arguments:
                self._sizes[1] += len(arguments.encode())
                yield from call.add(arguments)
        if chunk.finish_reason:
            self._finish_reason = chunk.finish_reason

    def _say(self, kind: Any, text: str, logprobs: list[Any]) -> Events:
        if self._text is None or self._text.kind is not kind:
            yield from self._end_text("completed")
            self._text = Text(self._run_id, len(self._items), kind)
            self._items.append(self._text)
            yield from self._text.begin()
        yield from self._text.add(text, logprobs)

    def _end_text(self, status: str) -> Events:
        if self._text:
            text, self._text = self._text, None
            yield from text.end(status)

    def _close(self, is_cut: bool) -> Events:
        """End what is still open."""
        status = "incomplete" if is_cut or self._finish_reason in _INCOMPLETE else "completed"
        yield from self._end_text(status)
        for call in self._calls.values():
            yield from call.end(status)


def _logprobs(chunk: Chunk) -> list[Any]:
    told = msgspec.json.decode(chunk.logprobs) if chunk.logprobs is not None else None
    return (told.get("content") or []) if isinstance(told, dict) else []


def usage_fields(usage: Usage, reasoning: int) -> dict[str, Any]:
    """Return tokens in the shape of a response."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def _head(run_id: str, created: int, asked: Asked) -> dict[str, Any]:
    """Return what a response says from its beginning on: mostly what was asked for."""
    request = asked.request
    text, reasoning = request.text or {}, request.reasoning or {}
    return {
        "id": f"resp_{run_id}",
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "background": bool(request.background),
        "error": None,
        "incomplete_details": None,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": None,
        "model": asked.chat.model,
        "output": [],
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": request.previous_response_id,
        "prompt_cache_key": request.prompt_cache_key,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "safety_identifier": request.safety_identifier,
        "service_tier": "default",
        "store": asked.is_stored,
        "temperature": request.temperature,
        "text": {"format": text.get("format") or {"type": "text"}, "verbosity": text.get("verbosity") or "medium"},
        "tool_choice": request.tool_choice or "auto",
        "tools": request.tools or [],
        "top_logprobs": request.top_logprobs or 0,
        "top_p": request.top_p,
        "truncation": request.truncation or "disabled",
        "usage": None,
        "user": request.user,
        "metadata": request.metadata or {},
    }
