"""How many tokens were delivered: the engine's own counts, else its tokenizer, else an estimate that says so."""

import logging

import msgspec

from inference.answer import Answer
from inference.chat import Chat
from inference.chunks import NOTHING, Chunk, Usage
from inference.engines.base import Engine
from inference.errors import EngineError
from inference.models import Run

logger = logging.getLogger(__name__)

# An average of four bytes a token holds for English text in byte-level vocabularies.
_BYTES_PER_TOKEN = 4


# Above it, and below zero, an engine's count is nonsense; it is also what the columns of a run can hold.
_MAX_TOKENS = 2**31 - 1


async def count(answer: Answer, up_to: int, chat: Chat, engine: Engine | None) -> tuple[Usage, Run.Counting]:
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
        if chunk.usage and _can_be(chunk.usage):
            return chunk.usage, Run.Counting.ENGINE
    return await _recount(taken, chat, engine, _latest_usage(answer))


def _latest_usage(answer: Answer) -> Usage | None:
    return next((chunk.usage for chunk in reversed(answer.chunks) if chunk.usage and _can_be(chunk.usage)), None)


def _can_be(usage: Usage) -> bool:
    return all(0 <= count <= _MAX_TOKENS for count in msgspec.structs.astuple(usage))


async def _recount(
    taken: list[Chunk], chat: Chat, engine: Engine | None, known: Usage | None
) -> tuple[Usage, Run.Counting]:
    """Count the delivered text with the engine's tokenizer; the prompt too, where the engine has not yet told."""
    text = "".join(_text(chunk) for chunk in taken)
    counting = Run.Counting.TOKENIZER
    completion, prompt = None, known.prompt_tokens if known else None
    if engine:
        try:
            completion = await engine.count_text(text)
            prompt = await engine.count_prompt(chat) if prompt is None else prompt
        except EngineError:
            logger.warning("the engine could not count what it delivered")
    if completion is None:
        completion, counting = estimate(text.encode()), Run.Counting.ESTIMATE
    if prompt is None:
        prompt, counting = estimate(prompt_bytes(chat)), Run.Counting.ESTIMATE
    if known:
        completion = min(completion, known.completion_tokens)
    return Usage(prompt, max(1, completion), known.cached_tokens if known else 0), counting


def estimate(text: bytes) -> int:
    """Guess the tokens of a text from its length."""
    return max(1, len(text) // _BYTES_PER_TOKEN)


def prompt_bytes(chat: Chat) -> bytes:
    """Return what becomes the prompt, as JSON; no byte-level vocabulary makes more tokens of it than it has bytes."""
    return msgspec.json.encode((chat.messages, chat.tools, chat.response_format))


def _text(chunk: Chunk) -> str:
    called = "".join(
        f"{call.function.name or ''}{call.function.arguments or ''}" for call in chunk.tool_calls if call.function
    )
    return f"{chunk.reasoning or ''}{chunk.content or ''}{called}"
