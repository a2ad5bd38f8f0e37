"""How TGI answers: streams that need putting right, and errors that tell their kind by how they begin."""

import re
import uuid

from msgspec import structs

from inference.chunks import Chunk
from inference.engines.base import Address
from inference.engines.reading import AnswerReader
from inference.engines.refusals import error_for, refusal, said_in
from inference.engines.stops import StopCutter
from inference.engines.wire import Event
from inference.errors import EngineError, EngineFailed, EngineOverloaded, EngineRefused

# What TGI calls the parameters of a chat, in messages that come from deeper down.
_NAMES = {
    "inputs": "messages",
    "max_new_tokens": "max_tokens",
    "top_n_tokens": "top_logprobs",
    "repetition_penalty": "presence_penalty",
}
_KNOWN = re.compile(r"`(inputs|max_new_tokens|top_n_tokens|repetition_penalty)`")
_PARAMETER = re.compile(r"`(\w+)`")
_KIND = re.compile(r"\A(?:Input validation error|Template error|Tool error): ", re.IGNORECASE)
_WRONG_TYPE = re.compile(r"\AFailed to deserialize the JSON body into the target type: (?:(\w[\w.\[\]]*): )?")
_POSITION = re.compile(r" at line \d+ column \d+\Z")


class TgiReader(AnswerReader):
    """Reads an answer, cutting it before its stop sequence and ending its tool calls as OpenAI does."""

    def __init__(self, address: Address, stops: list[str]) -> None:
        super().__init__(address)
        self._cutter = StopCutter(stops) if stops else None

    def chunk(self, event: Event) -> Chunk | None:
        """Turn one event into a chunk; None where nothing is left of it."""
        chunk = super().chunk(event)
        if chunk is None:
            return None
        if self._called and chunk.finish_reason == "stop":
            self._finish_reason = "tool_calls"
            return structs.replace(chunk, finish_reason="tool_calls")
        return self._cut(chunk) if self._cutter else chunk

    def end(self) -> list[Chunk]:
        """Take note that nothing follows; streamed tool calls come without a finish reason."""
        if self._called and self._finish_reason is None:
            self._finish_reason = "tool_calls"
            return [Chunk(finish_reason="tool_calls"), *super().end()]
        return super().end()

    def error_in(self, error: object) -> EngineError:
        """Return what an error inside a stream means; its code is always 422."""
        message, _ = said_in(error)
        if message.startswith("Model is overloaded"):
            return EngineOverloaded()
        if message.startswith("Input validation error"):
            return _refused(self._address, message)
        return EngineFailed()

    def new_id(self, given: str | None) -> str | None:
        """Return an id of our own: TGI names every call of a conversation ``0``."""
        return f"call_{uuid.uuid4().hex[:24]}"

    def _cut(self, chunk: Chunk) -> Chunk | None:
        assert self._cutter
        content = self._cutter.feed(chunk.content) if chunk.content else ""
        if chunk.finish_reason:
            content += self._cutter.flush()
        if not (content or chunk.logprobs or chunk.finish_reason or chunk.usage):
            return None
        return structs.replace(chunk, content=content or None)


def tgi_error_for(address: Address, status: int, body: bytes) -> EngineError:
    """Return the error for a response that is not a success."""
    error = error_for(address, status, body)
    return _refused(address, error.message) if isinstance(error, EngineRefused) else error


def _refused(address: Address, message: str) -> EngineRefused:
    """Return a refusal in OpenAI's words, with the parameter that it is about."""
    wrong_type = _WRONG_TYPE.match(message)
    if wrong_type:
        return refusal(address, _POSITION.sub("", message[wrong_type.end() :]), wrong_type.group(1))
    message = _KNOWN.sub(lambda name: f"`{_NAMES[name.group(1)]}`", _KIND.sub("", message))
    named = _PARAMETER.search(message)
    if message.startswith("grammar"):
        return refusal(address, message, "response_format")
    return refusal(address, message, named.group(1) if named else None)
