"""How TGI answers: streams that need putting right, and errors that tell their kind by how they begin."""

import re
from typing import ClassVar

import msgspec
from msgspec import structs

from inference.chat import Chat
from inference.chunks import Chunk
from inference.engines.base import Address
from inference.engines.calls import ToolCalls
from inference.engines.decoder import AnswerReader
from inference.engines.errors import error_for, refusal, said_in
from inference.engines.events import UNREADABLE, Event
from inference.engines.stops import StopCutter
from inference.engines.tgi.schemas import CALL_OPENING_TOKENS, STEP_TOKENS, token_limit
from inference.errors import EngineError, EngineFailed, EngineOverloaded, EngineRefused

# What TGI calls the parameters of a chat, in messages that come from deeper down.
_NAMES = {"inputs": "messages", "max_new_tokens": "max_tokens", "top_n_tokens": "top_logprobs"}
_KNOWN = re.compile(r"`(inputs|max_new_tokens|top_n_tokens)`")
# What it is about where no parameter is named.
_ABOUT = {
    "grammar": "response_format",
    "cannot compile regex": "response_format",
    "Tool with name": "tool_choice",
    "Grammar and tools": "response_format",
    "invalid image": "messages",
    "base64 encoding": "messages",
    "Could not fetch image": "messages",
    "image modality": "messages",
}
_ABOUT_THE_TURNS = "Template error"
_PARAMETER = re.compile(r"`(\w+)`")
_KIND = re.compile(r"\A(?:Input validation error|Template error|Tool error): ", re.IGNORECASE)
_WRONG_TYPE = re.compile(r"\AFailed to deserialize the JSON body into the target type: (?:(\w[\w.\[\]]*): )?")
_POSITION = re.compile(r" at line \d+ column \d+\Z")


class TgiReader(AnswerReader):
    """Reads an answer, cutting it before its stop sequence and at its limit, and ending its tool calls as OpenAI does.

    Every event is a token, those without text too: whoever asks for 1,500 gets 2,048, a whole number of steps.
    """

    # Its keep-alives come from the router, whether the model is at work or not.
    comments_are_signs: ClassVar = False

    def __init__(self, address: Address, chat: Chat, max_tokens: int | None) -> None:
        super().__init__(address, chat, token_limit(chat, max_tokens))
        self._has_tools = bool(chat.tools)
        self._tokens = 0
        stops = stops_of(chat)
        self._cutter = StopCutter(stops) if stops else None
        self._has_counts = False

    def chunk(self, event: Event) -> Chunk | None:
        """Turn one event into a chunk; None where it brought nothing."""
        chunk = super().chunk(event)
        if chunk is None:
            return None
        if chunk.usage and not self.has_output:
            self._has_counts = True
        if chunk.logprobs:
            chunk = structs.replace(chunk, logprobs=_with_bytes(chunk.logprobs))
        if self._cutter:
            chunk = self._cut(chunk, self._cutter)
        if not event.choices:
            return chunk
        self._tokens += 1
        chunk = structs.replace(chunk, tokens=self._tokens)
        return self._cut_at_limit(chunk) if self._finish_reason is None else chunk

    def missing_reason(self, *, is_said: bool) -> str | None:
        """Return why an answer ended that did not tell; None where it is not whole: a text always tells.

        A streamed tool call comes without a finish reason; so does one that ended before its name, of which there is
        nothing but the counts.
        """
        if self._calls:
            return "tool_calls"
        return "length" if self._has_counts else None

    def new_calls(self, chat: Chat) -> ToolCalls:
        """Return what puts the tool calls together: TGI names every call of a conversation ``0``."""
        return ToolCalls([tool.function.name for tool in chat.tools or ()], keeps_ids=False)

    def error_in(self, error: object) -> EngineError:
        """Return what an error inside a stream means; its code is always 422."""
        message, _ = said_in(error)
        if message.startswith("Model is overloaded"):
            return EngineOverloaded()
        if message.startswith("Input validation error"):
            refused = _refused(self._address, message)
            if self._has_tools and refused.param == "response_format":
                # It makes a grammar of them.
                refused.param = "tools"
            return refused
        return EngineFailed()

    def _cut_at_limit(self, chunk: Chunk) -> Chunk:
        """End an answer that has all the tokens that were asked for; a tool call as well that outgrew its grammar."""
        most = STEP_TOKENS - CALL_OPENING_TOKENS if self._calls else self._limit
        if most is None or self._tokens < min(most, self._limit or most):
            return chunk
        self.is_ended = self.is_cut_short = True
        content = (chunk.content or "") + (self._cutter.flush() if self._cutter else "")
        return self._finished(structs.replace(chunk, content=content or None), "length")

    def _cut(self, chunk: Chunk, cutter: StopCutter) -> Chunk:
        """Return a chunk with what can be shown of it now; one of which nothing is left was generated all the same.

        TGI ends at a stop sequence only where a token does. Where the sequence lies within one, the answer ends here.
        """
        content = cutter.feed(chunk.content) if chunk.content else ""
        finish_reason = chunk.finish_reason
        if finish_reason:
            content += cutter.flush()
        elif cutter.is_cut and self._finish_reason is None:
            self._finish_reason = finish_reason = "stop"
            self.is_ended = self.is_cut_short = True
        # What is not shown is not to be read in the log-probabilities either.
        logprobs = chunk.logprobs if content or not cutter.is_cut else None
        return structs.replace(chunk, content=content or None, logprobs=logprobs, finish_reason=finish_reason)


def stops_of(chat: Chat) -> list[str]:
    """Return a chat's stop sequences."""
    return [chat.stop] if isinstance(chat.stop, str) else chat.stop or []


class _Logprob(msgspec.Struct):
    """How likely a token was."""

    token: str
    logprob: float | None = None
    bytes: list[int] | None = None


class _TokenLogprob(_Logprob):
    """How likely the token was that was taken, and others in its place."""

    top_logprobs: list[_Logprob] = []


class _Logprobs(msgspec.Struct):
    """The log-probabilities of a chunk."""

    content: list[_TokenLogprob] | None = None


_decode_logprobs = msgspec.json.Decoder(_Logprobs).decode


def _with_bytes(written: msgspec.Raw) -> msgspec.Raw:
    """Add the bytes of each token, which TGI leaves out; a token that is a part of a character has none to tell.

    Raises EngineFailed.
    """
    try:
        logprobs = _decode_logprobs(written)
    except UNREADABLE as error:
        raise EngineFailed from error
    for token in logprobs.content or ():
        for each in (token, *token.top_logprobs):
            each.bytes = None if "\ufffd" in each.token else list(each.token.encode())
    return msgspec.Raw(msgspec.json.encode(logprobs))


def tgi_error_for(address: Address, status: int, body: bytes) -> EngineError:
    """Return the error for a response that is not a success."""
    error = error_for(address, status, body)
    return _refused(address, str(error)) if isinstance(error, EngineRefused) else error


def _refused(address: Address, message: str) -> EngineRefused:
    """Return a refusal in OpenAI's words, with the parameter that it is about."""
    wrong_type = _WRONG_TYPE.match(message)
    if wrong_type:
        return refusal(address, _POSITION.sub("", message[wrong_type.end() :]), wrong_type.group(1))
    if message.startswith(_ABOUT_THE_TURNS):
        return refusal(address, _KIND.sub("", message), "messages")
    message = _KNOWN.sub(lambda name: f"`{_NAMES[name.group(1)]}`", _KIND.sub("", message))
    named = _PARAMETER.search(message)
    for beginning, parameter in _ABOUT.items():
        if message.startswith(beginning):
            return refusal(address, message, parameter)
    return refusal(address, message, named.group(1) if named else None)
