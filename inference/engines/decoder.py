"""From the bytes of one stream to the chunks of one answer."""

from typing import ClassVar

import msgspec
from msgspec import Raw, structs

from inference.chat import Chat
from inference.chunks import Chunk, ToolCallDelta, Usage
from inference.engines import lenient
from inference.engines.base import Address
from inference.engines.calls import ToolCalls
from inference.engines.characters import Halves
from inference.engines.errors import decoded, error_for, status_of
from inference.engines.events import NULL, UNREADABLE, Event, WireChoice, WireDelta, WireToolCall, decode_event
from inference.engines.finish import finish_reason
from inference.engines.sse import EventParser
from inference.errors import EngineError, EngineFailed

DONE = b"[DONE]"
# Events without output are kept until one brings some: they may have brought something that nobody reads.
_MAX_SILENT = 16
# Codes of a message beside which nothing went wrong.
_SUCCESS = (None, 0, 200, "", "0", "200", "ok", "success")


class AnswerReader:
    """Reads one answer. After its end, ``failure`` says whether it was a proper one.

    ``is_cut_short`` says that the answer is whole though the engine goes on: it has to be told to stop.
    ``signs`` counts what shows that the engine is at work, whether that brought something or not.
    """

    # Whether a comment says more than that the connection is open.
    comments_are_signs: ClassVar = True

    def __init__(self, address: Address, chat: Chat, max_tokens: int | None) -> None:
        self.is_ended = False
        self.has_output = False
        self.is_cut_short = False
        self.failure: EngineError | None = None
        self.signs = 0
        self._address = address
        self._limit = max_tokens or chat.completion_limit
        self._wants_logprobs = bool(chat.logprobs)
        self._parser = EventParser()
        self._finish_reason: str | None = None
        self._calls = self.new_calls(chat)
        # From the first event on that can bring halves of characters.
        self._halves: Halves | None = None
        self._reads_messages = False
        self._silent: list[bytes] = []
        # Whether it sent words in the place of an event: nothing of an answer, but no sign of a proper end either.
        self._had_words = False
        self._generated = 0

    @property
    def is_finished(self) -> bool:
        """Whether the answer is complete: no failure can follow, but the counts may."""
        return self._finish_reason is not None

    def feed(self, received: bytes) -> list[Chunk]:
        """Turn what arrived into chunks, up to the end of the answer or to a failure."""
        try:
            events = self._parser.feed(received)
        except EngineError as error:
            return self.fail(error)
        if self.comments_are_signs:
            self.signs += self._parser.comments
        self._parser.comments = 0
        return self.read(events)

    def read(self, events: list[bytes]) -> list[Chunk]:
        """Turn events into chunks, up to the end of the answer or to a failure."""
        chunks: list[Chunk] = []
        for data in events:
            if data == DONE:
                return chunks + self._close(is_said=True)
            if not self.has_output and len(self._silent) < _MAX_SILENT:
                self._silent.append(data)
            try:
                try:
                    chunk = self.chunk(decode_event(data))
                    if chunk is not None:
                        chunks.append(chunk)
                except UNREADABLE:
                    if self._read_leniently(data, chunks):
                        return chunks + self._close(is_said=True)
            except EngineError as error:
                # Whatever follows its end makes no failure of a finished answer.
                if self._finish_reason is None:
                    return chunks + self.fail(error)
            if self.is_cut_short:
                break
        self.signs += len(chunks)
        return chunks

    def end(self) -> list[Chunk]:
        """Take note that nothing follows, and read what the engine left unfinished."""
        chunks = self.read(self._parser.flush())
        return chunks if self.is_ended else chunks + self._close(is_said=False)

    def fail(self, error: EngineError) -> list[Chunk]:
        """End the answer with an error, behind what came before it; one that was finished before stays whole."""
        self.is_ended = True
        if self._finish_reason is None:
            self.failure = error
        return []

    def chunk(self, event: Event) -> Chunk | None:
        """Turn one event into a chunk; None where it brought nothing. Raises the EngineError that it tells of."""
        if event.error is not NULL and (error := decoded(bytes(event.error))):
            raise self.error_in(error)
        usage = self.usage(event)
        if usage:
            self._generated = usage.completion_tokens
        choice = _first(event.choices) if event.choices else None
        if choice is None:
            if not event.choices and event.message is not NULL:
                self._raise_message(event)
            return Chunk(usage=usage) if usage else None
        delta = choice.delta
        reason = finish_reason(choice.finish_reason) if choice.finish_reason else None
        if delta is None or choice.message is not NULL or type(choice) is not WireChoice:
            delta = self._instead_of_delta(choice)
            if delta is None and not reason:
                return Chunk(usage=usage) if usage else None
        content = reasoning = refusal = None
        calls: tuple[ToolCallDelta, ...] = ()
        if delta is not None:
            content, reasoning = delta.content or None, delta.reasoning or delta.reasoning_content or None
            refusal = delta.refusal or None
            if delta.thinking or delta.reasoning_details or delta.tool_calls or delta.function_call:
                calls = self._called(delta)
        logprobs = _checked(choice.logprobs) if self._wants_logprobs and len(choice.logprobs) > 4 else None
        # Without anything in it, it is a token all the same: a part of a character, or one that is not shown.
        chunk = Chunk(content, reasoning, calls, logprobs, None, usage, refusal)
        if self._halves:
            chunk = self._halves.joined(chunk)
        if reason and self._finish_reason is None:
            chunk = self._finished(chunk, reason)
        if not self.has_output and chunk.has_output:
            self.has_output = True
            self._silent.clear()
        return chunk

    def usage(self, event: Event) -> Usage | None:
        """Return the counts that an event carries; some servers write them into its choice."""
        told = event.usage or (event.choices[0].usage if event.choices else None)
        return told.counts() if told else None

    def new_calls(self, chat: Chat) -> ToolCalls:
        """Return what puts the tool calls together."""
        return ToolCalls([tool.function.name for tool in chat.tools or ()])

    def error_in(self, error: object) -> EngineError:
        """Return what an error inside a stream means."""
        return error_for(self._address, status_of(error), msgspec.json.encode(error))

    def missing_reason(self, *, is_said: bool) -> str | None:
        """Return why an answer ended that did not tell; None where it is not whole.

        ``is_said`` says whether it told at least that it ended.
        """
        if not is_said or self._had_words or not (self.has_output or self._calls):
            return None
        is_full = self._limit is not None and self._generated >= self._limit
        return "length" if is_full else "tool_calls" if self._calls else "stop"

    def _read_leniently(self, data: bytes, chunks: list[Chunk]) -> bool:
        """Read what is not written as nearly every server writes it; return whether it ended the answer."""
        self._halves = self._halves or Halves()
        if data.lstrip()[:1] not in (b"{", b"[", b'"'):
            self._had_words = True
            return False
        try:
            for event in lenient.events(data):
                if event is None:
                    return True
                if (chunk := self.chunk(event)) is not None:
                    chunks.append(chunk)
        except (lenient.Unreadable, RecursionError) as error:
            raise EngineFailed from error
        return False

    def _instead_of_delta(self, choice: WireChoice) -> WireDelta | None:
        """Return the message that came in the place of a delta; one behind the pieces of itself says nothing new.

        Raises DecodeError for what has to be read leniently.
        """
        if isinstance(choice, lenient.WholeChoice):
            if self.has_output and not self._reads_messages:
                return None
            self._reads_messages = True
        elif bytes(choice.message) != b"null" or (choice.delta is None and choice.text):
            raise msgspec.DecodeError("a message or a text in the place of a delta")
        return choice.delta

    def _called(self, delta: WireDelta) -> tuple[ToolCallDelta, ...]:
        """Return what can be told of an event's tool calls. Raises DecodeError for what has to be read leniently."""
        is_odd = any(call.function is None for call in delta.tool_calls or ())
        if is_odd or delta.thinking or delta.reasoning_details:
            raise msgspec.DecodeError("reasoning or a call in a shape of its own")
        if delta.tool_calls:
            return tuple(self._calls.add(delta.tool_calls))
        return tuple(self._calls.add([WireToolCall(0, function=delta.function_call)])) if delta.function_call else ()

    def _raise_message(self, event: Event) -> None:
        """Raise the error that a message without choices is, unless it says that all is well."""
        message, code = decoded(bytes(event.message)), decoded(bytes(event.code))
        if message and not (code in _SUCCESS and code is not None):
            raise self.error_in({"message": message, "code": code})

    def _close(self, *, is_said: bool) -> list[Chunk]:
        """End the answer; without a finish reason of its own it may not be whole."""
        chunks: list[Chunk] = []
        try:
            if self._finish_reason is None:
                reason = self.missing_reason(is_said=is_said)
                if reason is None:
                    raise EngineFailed
                chunks.append(self._finished(Chunk(), reason))
                self.has_output |= chunks[0].has_output
        except EngineError as error:
            self.fail(error)
            return []
        self.is_ended = True
        return chunks

    def _finished(self, chunk: Chunk, reason: str) -> Chunk:
        """Return the chunk with which an answer ends, with all that was held back. Raises EngineFailed."""
        chunk = structs.replace(chunk, tool_calls=(*chunk.tool_calls, *self._calls.flush()))
        if self._halves:
            chunk = self._halves.flushed(chunk)
        if reason == "stop" and self._calls:
            # Most servers that do not know the word end calls so.
            reason = "tool_calls"
        elif reason == "tool_calls" and not self._calls:
            if not (self.has_output or chunk.has_output):
                raise EngineFailed
            reason = "stop"
        self._check_silence(chunk)
        self._finish_reason = reason
        return structs.replace(chunk, finish_reason=reason)

    def _check_silence(self, last: Chunk) -> None:
        """Refuse an answer without output whose events brought something that nobody reads. Raises EngineFailed."""
        if not (self.has_output or last.has_output):
            unread = set().union(*map(lenient.unknown_fields, self._silent))
            if unread:
                raise EngineFailed


def _first(choices: list[WireChoice]) -> WireChoice | None:
    """Return the choice that was asked for."""
    choice = choices[0]
    return choice if not choice.index else next((each for each in choices if (each.index or 0) <= 0), None)


def _checked(written: Raw) -> Raw:
    """Return log-probabilities as they came if clients can read them so, else put right. Raises EngineFailed."""
    try:
        told = msgspec.json.decode(written)
    except UNREADABLE:
        told = None
    if isinstance(told, dict) and (told.get("content") is None or isinstance(told["content"], list)):
        return written
    try:
        return lenient.logprobs(bytes(written))
    except (lenient.Unreadable, RecursionError) as error:
        raise EngineFailed from error
