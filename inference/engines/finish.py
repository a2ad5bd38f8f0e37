"""Why an answer ended: what engines call it, in OpenAI's words."""

import re
from typing import Final

from inference.errors import EngineFailed

_NOT_LETTERS: Final = re.compile(r"[\W\d_]+")

# By their letters alone, without regard to case: MAX_TOKENS, maxTokens and max-tokens are the same.
_KNOWN: Final = {
    **dict.fromkeys(("stop", "stopsequence", "eostoken", "eos", "endturn", "stoptoken", "complete", "end"), "stop"),
    **dict.fromkeys(("length", "maxtokens", "maxlength", "modellength"), "length"),
    **dict.fromkeys(("toolcalls", "toolcall", "tooluse", "functioncall", "functioncalls"), "tool_calls"),
    **dict.fromkeys(("contentfilter", "safety", "sensitive", "recitation", "refusal", "spii"), "content_filter"),
}
# Said with every piece by servers that write no null.
_NO_END: Final = ("", "null", "none", "finishreasonunspecified", "inprogress", "incomplete")
# What the rest is told by: what was no proper end first, since "tool_error" is one.
_FAILED: Final = re.compile(
    "error|abort|cancel|fail|timeout|insufficient|malformed|unexpected|unavailable|overload|preempt|disconnect|\\Aother"
)
_TELLING: Final = (
    ("content_filter", re.compile("filter|safety|block|prohibit|moderat|guardrail|policy|sensitive")),
    ("length", re.compile("length|max|limit|context|truncat")),
    ("tool_calls", re.compile("tool|function")),
)


def finish_reason(told: str) -> str | None:
    """Return OpenAI's word for why an answer ended; None where it has not. Raises EngineFailed for no proper end.

    A word that nobody knows is an end as good as any.
    """
    letters = _NOT_LETTERS.sub("", told).casefold()
    if letters in _KNOWN or letters in _NO_END:
        return _KNOWN.get(letters)
    if _FAILED.search(letters):
        raise EngineFailed
    return next((reason for reason, telling in _TELLING if telling.search(letters)), "stop")
