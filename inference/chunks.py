"""What comes out of a model: typed pieces of one answer, in OpenAI's words."""

import msgspec


class FunctionDelta(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of a function call."""

    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of a tool call; ``id``, ``type`` and the name come once, with the call's first piece."""

    index: int
    id: str | None = None
    type: str | None = None
    function: FunctionDelta | None = None


class Usage(msgspec.Struct, frozen=True):
    """Tokens so far: the running counts of an engine that gives them, or the final ones."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


NOTHING = Usage(prompt_tokens=0, completion_tokens=0)


class Chunk(msgspec.Struct, frozen=True, omit_defaults=True):
    """One piece of an answer. Engines yield them in lists: all that one read from the socket brought.

    ``finish_reason`` is OpenAI's (stop, length, tool_calls, content_filter). ``usage`` may ride on any chunk and counts
    everything up to and including that chunk; a chunk may consist of usage alone. A chunk of nothing stands for a token
    without text.
    """

    content: str | None = None
    reasoning: str | None = None
    tool_calls: tuple[ToolCallDelta, ...] = ()
    logprobs: msgspec.Raw | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    # What the model says in the place of an answer that it refuses.
    refusal: str | None = None
    # How many tokens the answer has up to here, from an engine whose every event is one and whose counts come last.
    tokens: int | None = None
    # What a model that only reads gives back (``chat.Reading``): a vector or score for each text, as JSON.
    result: str | None = None

    @property
    def has_output(self) -> bool:
        """Whether the caller gets something that a model generated."""
        return bool(self.content or self.reasoning or self.tool_calls or self.refusal)
