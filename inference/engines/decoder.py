"""From the events of one stream to the chunks of one answer."""

import uuid
from typing import ClassVar

import msgspec
from msgspec import Raw
from msgspec.json import decode

from inference.chunks import Chunk, FunctionDelta, ToolCallDelta, Usage
from inference.engines.base import Address
from inference.engines.errors import error_for, status_of
from inference.engines.events import UNREADABLE, Event, WireChoice, WireToolCall, decode_event
from inference.engines.sse import EventParser
from inference.errors import EngineError, EngineFailed

DONE = b"[DONE]"


class AnswerReader:
    """Reads one answer. After its end, ``failure`` says whether it was a proper one.

    ``is_cut_short`` says that the answer is whole though the engine goes on: it has to be told to stop.
    """

    # What other servers call OpenAI's finish reasons.
    finish_reasons: ClassVar = {
        "stop_sequence": "stop",
        "eos_token": "stop",
        "function_call": "tool_calls",
        "stop": "stop",
        "length": "length",
        "tool_calls": "tool_calls",
        "content_filter": "content_filter",
    }

    def __init__(self, address: Address) -> None:
        self.is_ended = False
        self.has_output = False
        self.is_cut_short = False
        self.failure: EngineError | None = None
        self._events = EventParser()
        self._address = address
        self._finish_reason: str | None = None
        # By the engine's index: the id that it gave to the call, and our index of it.
        self._calls: dict[int, tuple[str | None, int]] = {}
        self._call_count = 0

    def feed(self, received: bytes) -> list[Chunk]:
        """Turn bytes into the chunks that they complete, up to the end of the answer or to a failure."""
        try:
            events = self._events.feed(received)
        except EngineError as error:
            return self.fail(error)
        return self.read(events)

    def read(self, events: list[bytes]) -> list[Chunk]:
        """Turn events into chunks, up to the end of the answer or to a failure."""
        chunks: list[Chunk] = []
        for event in events:
            if event == DONE:
                return chunks + self.end()
            try:
                chunk = self.chunk(decode_event(event))
            except UNREADABLE:
                return chunks + self.fail(EngineFailed())
            except EngineError as error:
                return chunks + self.fail(error)
            if chunk is not None:
                chunks.append(chunk)
            if self.is_cut_short:
                break
        return chunks

    def end(self) -> list[Chunk]:
        """Take note that nothing follows; without a finish reason the answer is not whole."""
        if self._finish_reason is None:
            return self.fail(EngineFailed())
        self.is_ended = True
        return []

    def fail(self, error: EngineError) -> list[Chunk]:
        """End the answer with an error, behind what came before it."""
        self.is_ended, self.failure = True, error
        return []

    def chunk(self, event: Event) -> Chunk | None:
        """Turn one event into a chunk; None where it brought nothing. Raises the EngineError that it tells of."""
        if len(event.error) > 4:
            raise self.error_in(decode(event.error))
        usage = self.usage(event)
        if not event.choices or event.choices[0].index:
            if bytes(event.message) != b"null":
                raise self.error_in({"message": decode(event.message), "code": decode(event.code)})
            return Chunk(usage=usage) if usage else None
        choice = event.choices[0]
        finish_reason = self._finished(choice)
        delta = choice.delta
        logprobs = _checked(choice.logprobs) if len(choice.logprobs) > 4 else None
        if delta is None:
            return Chunk(finish_reason=finish_reason, usage=usage) if finish_reason or usage else None
        content, reasoning = delta.content or None, delta.reasoning_content or delta.reasoning or None
        calls = tuple([self._call(call) for call in delta.tool_calls]) if delta.tool_calls else ()
        if content or reasoning or calls:
            self.has_output = True
        # Without anything in it, it is a token all the same: a part of a character, or one that is not shown.
        return Chunk(content, reasoning, calls, logprobs, finish_reason, usage)

    def usage(self, event: Event) -> Usage | None:
        """Return the counts that an event carries."""
        return event.usage.counts() if event.usage is not None else None

    def error_in(self, error: object) -> EngineError:
        """Return what an error inside a stream means."""
        return error_for(self._address, status_of(error), msgspec.json.encode(error))

    def new_id(self, given: str | None) -> str:
        """Return the id of a tool call that begins; every call has one."""
        return given or f"call_{uuid.uuid4().hex[:24]}"

    def _finished(self, choice: WireChoice) -> str | None:
        if choice.finish_reason:
            if choice.finish_reason in ("abort", "error"):
                raise EngineFailed
            self._finish_reason = self.finish_reasons.get(choice.finish_reason, "stop")
            return self._finish_reason
        return None

    def _call(self, call: WireToolCall) -> ToolCallDelta:
        """Keep a call's id, type and name to its first piece, wherever the engine repeats them.

        Some engines number all of their calls zero: another id with another name is another call.
        """
        place, function = call.index or 0, call.function
        arguments, name = (function.arguments, function.name) if function else (None, None)
        known = self._calls.get(place)
        if known and not (name and call.id and call.id != known[0]):
            return ToolCallDelta(known[1], function=FunctionDelta(arguments=arguments))
        index, self._call_count = self._call_count, self._call_count + 1
        self._calls[place] = call.id, index
        return ToolCallDelta(index, self.new_id(call.id), "function", FunctionDelta(name, arguments))


def _checked(logprobs: Raw) -> Raw:
    """Return log-probabilities as they came: so far they are any bytes. Raises EngineFailed if they are none."""
    told = decode(logprobs)
    content = told.get("content") if isinstance(told, dict) else told
    if not (content is None or (isinstance(told, dict) and isinstance(content, list))):
        raise EngineFailed
    return logprobs
