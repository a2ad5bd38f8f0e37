"""What servers say when a request does not fit the model's context, and the numbers in it."""

import re
from typing import Any

from inference.errors import ContextExceeded

# How llama.cpp, vLLM and SGLang say that a request is too long; then TGI, of the prompt alone and with the answer.
_TOO_LONG = re.compile(r"context (?:length|size|window)|must have less than \d+ tokens|` tokens \+ `")
# llama.cpp's advice to whoever started it.
_ADVICE = ", try increasing it"

# Where each of them puts the number that counts, in tokens.
_CONTEXT = re.compile(
    r"context (?:length|size|window)(?: is)?(?: of)?(?: only)? \(?(\d+)|<= (\d+)|less than (\d+) tokens"
)
_PROMPT = re.compile(
    r"(\d+) (?:in the messages|input tokens|tokens from the input|`(?:inputs|messages)` tokens)"
    r"|(?:request|input|prompt) \((\d+) tokens\)|resulted in (\d+) tokens|tokens\. Given: (\d+)$"
)
_COMPLETION = re.compile(
    r"(\d+) (?:in the completion|tokens for the completion|output tokens|`max_(?:new_)?tokens`)|too large: (\d+)"
)


def overflow(message: str, details: Any = None) -> ContextExceeded | None:
    """Return what a refusal means if the request is too long; None for any other.

    ``details`` is the decoded error around the message, which may have the numbers as llama.cpp names them.
    """
    if not _TOO_LONG.search(message):
        return None
    told = details if isinstance(details, dict) else {}
    completion_tokens = _number(_COMPLETION, message)
    return ContextExceeded(
        message.removesuffix(_ADVICE),
        # TGI names it too where nothing was asked for.
        param="max_tokens" if "max_tokens" in message and completion_tokens != 0 else "messages",
        context_tokens=_count(told.get("n_ctx")) or _number(_CONTEXT, message),
        prompt_tokens=_count(told.get("n_prompt_tokens")) or _number(_PROMPT, message),
        completion_tokens=completion_tokens,
    )


def _number(pattern: re.Pattern[str], message: str) -> int | None:
    found = pattern.search(message)
    return int(next(group for group in found.groups() if group)[:18]) if found else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
