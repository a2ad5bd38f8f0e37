"""How many tokens were delivered: the engine's own counts, else its tokenizer, else an estimate that says so."""

import logging
from collections.abc import Sequence
from typing import Final, NamedTuple, Self

from inference.billing import prompt
from inference.chat import Chat, Continuation, Reading
from inference.chunks import NOTHING, Chunk, Usage
from inference.engines.base import Engine
from inference.errors import EngineError
from inference.models import Run

logger = logging.getLogger(__name__)

# Above it, and below zero, an engine's count is nonsense; it is also what the columns of a run can hold.
_MAX_TOKENS: Final = 2**31 - 1

Counted = tuple[Usage, Run.Counting]


class Sense(NamedTuple):
    """What a run's counts can be at most, in tokens; ``image`` is what an image counts for, where that is known."""

    prompt: int = _MAX_TOKENS
    completion: int = _MAX_TOKENS
    image: int | None = None


_ANY: Final = Sense()


class TokenCounter:
    """Counts as the engine does that answers a chat, or before one does, that most likely will."""

    __slots__ = ("chat", "context_tokens", "engine")

    def __init__(self, chat: Chat, engine: Engine, context_tokens: int) -> None:
        self.chat = chat
        self.engine = engine
        self.context_tokens = context_tokens

    async def count_text(self, text: str) -> int | None:
        """Count plain text; None where the engine has no way to tell. Raises EngineError."""
        return await self.engine.count_text(text)

    async def count_prompt(self) -> int | None:
        """Count the templated prompt; None where the engine has no way to tell. Raises EngineError."""
        return await count_prompt(self.engine, self.chat)


async def count_prompt(engine: Engine, chat: Chat) -> int | None:
    """Count what the model reads; None where the engine has no way to tell. Raises EngineError."""
    if isinstance(chat, Reading) or (isinstance(chat, Continuation) and chat.suffix):
        # Its bound is close: it is made of plain texts.
        return None
    if isinstance(chat, Continuation):
        counted = await engine.count_text(chat.prompt) if isinstance(chat.prompt, str) else len(chat.prompt)
        # Most servers begin a text with a token of its own.
        return counted + 1 if counted is not None else None
    return await engine.count_prompt(chat)


async def count(chunks: Sequence[Chunk], up_to: int, chat: Chat, engine: Engine | None, sense: Sense = _ANY) -> Counted:
    """Return the usage of the first ``up_to`` chunks and where the figures come from. Waits only to ask the engine.

    Without output there is no usage: nothing delivered is nothing charged. Without an engine, nobody is asked: what the
    answer does not tell is estimated. An engine's counts that make no sense are no counts.
    """
    taken = chunks[:up_to]
    if isinstance(chat, Reading):
        return _read(taken, chat, sense)
    outputs = last = 0
    for number, chunk in enumerate(taken, start=1):
        if chunk.has_output:
            outputs, last = outputs + 1, number
    if not outputs:
        return NOTHING, Run.Counting.ENGINE
    # The counts that ride on the last piece of output, or behind it when nothing was left undelivered in between.
    counts: Usage | None = None
    for number, chunk in enumerate(chunks[last - 1 :], start=last):
        if number > last and chunk.has_output:
            break
        usage = told(chunk, sense, outputs)
        # The largest: some count one behind, and of equals only the last may say what was cached.
        if usage and (counts is None or _size(usage) > _size(counts)):
            counts = usage
    if counts:
        return counts, Run.Counting.ENGINE
    return await _recount(taken, chat, engine, _Known.of(chunks, last, sense), sense)


def _read(taken: Sequence[Chunk], reading: Reading, sense: Sense) -> Counted:
    """Return the tokens that were read for a result, if it was delivered; each text fits the model's context."""
    answer = next((chunk for chunk in taken if chunk.result is not None), None)
    if answer is None:
        return NOTHING, Run.Counting.ENGINE
    if answer.usage and 1 <= answer.usage.prompt_tokens <= reading.task.texts * sense.prompt:
        return answer.usage, Run.Counting.ENGINE
    return Usage(prompt.estimate(reading, None), 0), Run.Counting.ESTIMATE


def told(chunk: Chunk, sense: Sense = _ANY, outputs: int = 0) -> Usage | None:
    """Return the counts that ride on a chunk, if they can be believed behind so many pieces of output."""
    usage = chunk.usage
    return usage if usage and _fits(usage, sense, outputs) else None


def _fits(usage: Usage, sense: Sense, outputs: int = 0) -> bool:
    """Whether the counts may be those of so many pieces of output; no prompt is empty.

    A piece is a token or more; half as many leaves room for servers that cut one token's text in two.
    """
    return (
        1 <= usage.prompt_tokens <= sense.prompt
        and outputs <= 2 * usage.completion_tokens <= 2 * sense.completion
        and 0 <= usage.cached_tokens <= _MAX_TOKENS
    )


def _size(usage: Usage) -> tuple[int, int, int]:
    """Return what is compared; servers that read a part of the prompt from a cache may leave that part out."""
    return usage.completion_tokens, usage.prompt_tokens, usage.cached_tokens


class _Known(NamedTuple):
    """What the engine told of an answer around its last delivered piece of output: no more and no less than that."""

    before: Usage | None
    behind: Usage | None
    # Of an engine that numbers its tokens: how many there are up to that piece.
    tokens: int | None = None

    @classmethod
    def of(cls, chunks: Sequence[Chunk], last: int, sense: Sense) -> Self:
        """Look for the counts nearest to chunk number ``last`` on either side."""
        numbered = [(number, chunk.usage) for number, chunk in enumerate(chunks, start=1)]
        sensible = [(number, usage) for number, usage in numbered if usage and _fits(usage, sense)]
        before = next((usage for number, usage in reversed(sensible) if number < last), None)
        behind = next((usage for number, usage in sensible if number > last and usage.completion_tokens), None)
        tokens = chunks[last - 1].tokens
        return cls(before, behind, tokens if tokens and tokens <= sense.completion else None)

    def bounded(self, completion_tokens: int) -> int:
        """Return a count of the answer's tokens, which grow from one piece to the next, as far as it can be true."""
        least = max(1, self.before.completion_tokens if self.before else 1)
        most = max(least, self.behind.completion_tokens) if self.behind else _MAX_TOKENS
        return min(max(least, completion_tokens), most)


def text_of(chunk: Chunk) -> str:
    """Return everything in a chunk that the model generated."""
    if not (chunk.tool_calls or chunk.refusal):
        return f"{chunk.reasoning}{chunk.content or ''}" if chunk.reasoning else chunk.content or ""
    called = "".join(
        f"{call.function.name or ''}{call.function.arguments or ''}" for call in chunk.tool_calls if call.function
    )
    return f"{chunk.reasoning or ''}{chunk.content or ''}{chunk.refusal or ''}{called}"


async def _recount(taken: Sequence[Chunk], chat: Chat, engine: Engine | None, known: _Known, sense: Sense) -> Counted:
    """Count the delivered text with the engine's tokenizer; the prompt too, where the engine has not yet told."""
    text = "".join(text_of(chunk) for chunk in taken)
    size_bytes = len(text.encode())
    counting = Run.Counting.TOKENIZER
    nearest = known.before or known.behind
    completion, prompted = None, nearest.prompt_tokens if nearest else None
    if engine:
        try:
            completion = known.tokens or await engine.count_text(text)
            prompted = await count_prompt(engine, chat) if prompted is None else prompted
        except EngineError:
            logger.warning("the engine could not count what it delivered")
    completion = known.tokens or completion
    # No vocabulary makes more tokens of a text than it has bytes; what begins a text may be one more. Tokens that an
    # engine numbers may be without text.
    if completion is None or (known.tokens is None and completion > min(size_bytes + 1, sense.completion)):
        completion, counting = estimate(size_bytes), Run.Counting.ESTIMATE
    if prompted is None or prompted > sense.prompt:
        prompted, counting = prompt.estimate(chat, sense.image), Run.Counting.ESTIMATE
    return Usage(prompted, known.bounded(completion), nearest.cached_tokens if nearest else 0), counting


def estimate(size_bytes: int) -> int:
    """Guess the tokens of a text from its length."""
    return max(1, size_bytes // prompt.BYTES_PER_TOKEN)


def is_over(pieces: int, size_bytes: int, most_tokens: int) -> bool:
    """Whether output is more than so many tokens. Servers cut text as they like: neither pieces alone, nor bytes.

    Many short pieces are few tokens, as long as a token has as many of them as it usually has bytes.
    """
    return pieces >= most_tokens and max(pieces, size_bytes) >= most_tokens * prompt.BYTES_PER_TOKEN
