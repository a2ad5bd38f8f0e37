"""What engines write: OpenAI's chat completion chunks as TGI, vLLM, SGLang, llama.cpp and others send them.

Fields that we have no use for are skipped while decoding; null stands for a field that was left out.
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
    """A piece of a tool call."""

    index: int | None = 0
    id: str | None = None
    type: str | None = None
    function: WireFunction | None = None


class WireDelta(Struct):
    """What a chunk adds to the message; vLLM renamed ``reasoning_content`` to ``reasoning``."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[WireToolCall] | None = None


class WireChoice(Struct):
    """One choice of a chunk."""

    index: int | None = 0
    delta: WireDelta | None = None
    finish_reason: str | None = None
    logprobs: Raw = NULL


class CachedTokens(Struct, gc=False):
    """How much of the prompt was read from a cache."""

    cached_tokens: int | None = None


class WireUsage(Struct):
    """Token counts."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: CachedTokens | None = None

    def counts(self) -> Usage | None:
        """Return the counts in our own words; half of them are none, and no more can be cached than there is."""
        if self.prompt_tokens is None or self.completion_tokens is None:
            return None
        cached = self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else None
        return Usage(self.prompt_tokens, self.completion_tokens, min(cached or 0, self.prompt_tokens))


class Timings(Struct, gc=False):
    """llama.cpp's running counts; ``prompt_n`` leaves out what was read from the cache."""

    prompt_n: int = 0
    cache_n: int = 0
    predicted_n: int = 0

    def counts(self) -> Usage:
        """Return the counts in our own words."""
        return Usage(self.prompt_n + self.cache_n, self.predicted_n, self.cache_n)


class Event(Struct):
    """The data of one event; some servers write an error without an ``error`` around it."""

    choices: list[WireChoice] | None = None
    usage: WireUsage | None = None
    timings: Timings | None = None
    error: Raw = NULL
    message: Raw = NULL
    code: Raw = NULL


decode_event = msgspec.json.Decoder(Event).decode
