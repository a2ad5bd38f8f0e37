"""What engines write: OpenAI's chat completion chunks as TGI, vLLM, SGLang, llama.cpp and others send them.

Fields that we have no use for are skipped while decoding; null stands for a field that was left out. An event that
does not fit these types is read once more, by ``lenient``.
"""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from inference.chunks import Usage

NULL = Raw(b"null")
# What reading raises where a server writes no JSON, or nests it without end.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class WireFunction(Struct, gc=False):
    """A piece of a function call."""

    name: str | None = None
    arguments: str | None = None


class WireToolCall(Struct):
    """A piece of a tool call; without an index it is known by its id, or by its place in the list."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: WireFunction | None = None


class WireDelta(Struct):
    """What a chunk adds to the message; vLLM renamed ``reasoning_content`` to ``reasoning``."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[WireToolCall] | None = None
    refusal: str | None = None
    # Of older servers, and of those that keep reasoning under names of their own.
    function_call: WireFunction | None = None
    thinking: str | None = None
    reasoning_details: list[Raw] | None = None


class CachedTokens(Struct, gc=False):
    """How much of the prompt was read from a cache."""

    cached_tokens: int | None = None


class WireUsage(Struct):
    """Token counts."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: CachedTokens | None = None
    # Other names for the same.
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_cache_hit_tokens: int | None = None

    def counts(self) -> Usage | None:
        """Return the counts in our own words; half of them are none, and no more can be cached than there is."""
        prompt_tokens = self.input_tokens if self.prompt_tokens is None else self.prompt_tokens
        completion_tokens = self.output_tokens if self.completion_tokens is None else self.completion_tokens
        if prompt_tokens is None or completion_tokens is None or prompt_tokens < 0 or completion_tokens < 0:
            return None
        details = self.prompt_tokens_details
        cached = (details.cached_tokens if details else None) or self.prompt_cache_hit_tokens or 0
        return Usage(prompt_tokens, completion_tokens, max(0, min(cached, prompt_tokens)))


class WireChoice(Struct):
    """One choice of a chunk; servers that answer whole have a message in the place of the delta, older ones a text."""

    index: int | None = None
    delta: WireDelta | None = None
    finish_reason: str | None = None
    logprobs: Raw = NULL
    message: Raw = NULL
    text: str | None = None
    usage: WireUsage | None = None


class Timings(Struct, gc=False):
    """llama.cpp's running counts; ``prompt_n`` leaves out what was read from the cache."""

    prompt_n: int = 0
    cache_n: int = 0
    predicted_n: int = 0

    def counts(self) -> Usage | None:
        """Return the counts in our own words."""
        counts = (self.prompt_n, self.cache_n, self.predicted_n)
        return Usage(self.prompt_n + self.cache_n, self.predicted_n, self.cache_n) if min(counts) >= 0 else None


class Event(Struct):
    """The data of one event; some servers write an error without an ``error`` around it."""

    choices: list[WireChoice] | None = None
    usage: WireUsage | None = None
    timings: Timings | None = None
    error: Raw = NULL
    message: Raw = NULL
    code: Raw = NULL


decode_event = msgspec.json.Decoder(Event).decode
