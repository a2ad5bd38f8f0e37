"""What an answer says, put together from its chunks."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from inference.chunks import Chunk, ToolCallDelta

# Of a longer answer, the likelihoods of its first tokens are kept.
MAX_LOGPROBS: Final = 8_192


class Said(NamedTuple):
    """An answer so far; calls and log probabilities in OpenAI's shapes."""

    content: str
    reasoning: str
    tool_calls: list[dict[str, Any]]
    logprobs: list[dict[str, Any]]


def said(chunks: Sequence[Chunk]) -> Said:
    """Return what chunks say together."""
    return Said(
        "".join(chunk.content or chunk.refusal or "" for chunk in chunks),
        "".join(chunk.reasoning or "" for chunk in chunks),
        _calls(delta for chunk in chunks for delta in chunk.tool_calls),
        [token for chunk in chunks for token in token_logprobs(chunk)][:MAX_LOGPROBS],
    )


def token_logprobs(chunk: Chunk) -> list[dict[str, Any]]:
    """Return how likely each token of a chunk was, where its engine says so."""
    if chunk.logprobs is None:
        return []
    told = msgspec.json.decode(chunk.logprobs)
    content = told.get("content") if isinstance(told, dict) else None
    return content if isinstance(content, list) else []


def _calls(deltas: Iterable[ToolCallDelta]) -> list[dict[str, Any]]:
    calls: dict[int, dict[str, Any]] = {}
    for delta in deltas:
        call = calls.setdefault(
            delta.index, {"id": f"call_{delta.index}", "type": "function", "function": {"name": "", "arguments": ""}}
        )
        call["id"] = delta.id or call["id"]
        if delta.function:
            call["function"]["name"] += delta.function.name or ""
            call["function"]["arguments"] += delta.function.arguments or ""
    return [calls[index] for index in sorted(calls)]
