"""How many tokens were delivered: the engine's own counts, else its tokenizer, else an estimate that says so."""

import logging

import msgspec

from inference import prompt
from inference.answer import Answer
from inference.chat import Chat
from inference.chunks import NOTHING, Chunk, Usage
from inference.engines.base import Engine
from inference.errors import EngineError
from inference.models import Run

logger = logging.getLogger(__name__)

# Above it, and below zero, an engine's count is nonsense; it is also what the columns of a run can hold.
_MAX_TOKENS = 2**31 - 1

Counted = tuple[Usage, Run.Counting]


async def count(
    answer: Answer, up_to: int, chat: Chat, engine: Engine | None, image_tokens: int | None = None
) -> Counted:
    """Return the usage of the first ``up_to`` chunks and where the figures come from.

    Without output there is no usage: nothing delivered is nothing charged. Without an engine, nobody is asked: what the
    answer does not tell is estimated.
    """
    taken = answer.chunks[:up_to]
    if not any(chunk.has_output for chunk in taken):
        return NOTHING, Run.Counting.ENGINE
    last = max(number for number, chunk in enumerate(taken, start=1) if chunk.has_output)
    # The counts that ride on the last piece of output, or behind it when nothing was left undelivered in between.
    for number, chunk in enumerate(answer.chunks[last - 1 :], start=last):
        if number > last and chunk.has_output:
            break
        if usage := told(chunk):
            return usage, Run.Counting.ENGINE
    return await _recount(taken, chat, engine, _latest_usage(answer), image_tokens)


def told(chunk: Chunk) -> Usage | None:
    """Return the counts that ride on a chunk, if they can be believed."""
    usage = chunk.usage
    return usage if usage and all(0 <= count <= _MAX_TOKENS for count in msgspec.structs.astuple(usage)) else None


def text_of(chunk: Chunk) -> str:
    """Return everything in a chunk that the model generated."""
    if not chunk.tool_calls:
        return f"{chunk.reasoning}{chunk.content or ''}" if chunk.reasoning else chunk.content or ""
    called = "".join(
        f"{call.function.name or ''}{call.function.arguments or ''}" for call in chunk.tool_calls if call.function
    )
    return f"{chunk.reasoning or ''}{chunk.content or ''}{called}"


def _latest_usage(answer: Answer) -> Usage | None:
    return next((usage for chunk in reversed(answer.chunks) if (usage := told(chunk))), None)


async def _recount(
    taken: list[Chunk], chat: Chat, engine: Engine | None, known: Usage | None, image_tokens: int | None
) -> Counted:
    """Count the delivered text with the engine's tokenizer; the prompt too, where the engine has not yet told."""
    text = "".join(text_of(chunk) for chunk in taken)
    counting = Run.Counting.TOKENIZER
    completion, prompted = None, known.prompt_tokens if known else None
    if engine:
        try:
            completion = await engine.count_text(text)
            prompted = await engine.count_prompt(chat) if prompted is None else prompted
        except EngineError:
            logger.warning("the engine could not count what it delivered")
    if completion is None:
        completion, counting = estimate(text.encode()), Run.Counting.ESTIMATE
    if prompted is None:
        prompted, counting = prompt.estimate(chat, image_tokens), Run.Counting.ESTIMATE
    if known:
        completion = min(completion, known.completion_tokens)
    return Usage(prompted, max(1, completion), known.cached_tokens if known else 0), counting


def estimate(text: bytes) -> int:
    """Guess the tokens of a text from its length."""
    return max(1, len(text) // prompt.BYTES_PER_TOKEN)
