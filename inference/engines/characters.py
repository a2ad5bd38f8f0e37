"""Text whose characters arrive in parts: surrogate halves and single bytes, put together again across pieces."""

import re
from collections import defaultdict
from typing import Final

from msgspec import structs

from inference.chunks import Chunk, FunctionDelta, ToolCallDelta

# A first half waits for its second; so do the first bytes of a character, which readers of broken UTF-8 leave as
# lone surrogates from U+DC80 on (Python's ``surrogateescape``).
_UNFINISHED: Final = re.compile(
    "(?:[\ud800-\udbff]|[\udcc2-\udcdf]|[\udce0-\udcef][\udc80-\udcbf]?|[\udcf0-\udcf4][\udc80-\udcbf]{0,2})\\Z"
)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
# Those that stand for no byte.
_LONE_HALF: Final = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_REPLACEMENT: Final = "\ufffd"


class Joiner:
    """Passes text on, holding back no more than the beginning of one character."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return what is whole of all text so far; what can be no character any more is U+FFFD."""
        if not self._held and (text.isascii() or not _SURROGATE.search(text)):
            return text
        text = _paired(self._held + text)
        unfinished = _UNFINISHED.search(text)
        self._held = unfinished.group() if unfinished else ""
        return _whole(text[: len(text) - len(self._held)])

    def flush(self) -> str:
        """Return what was held back, once nothing follows."""
        held, self._held = self._held, ""
        return _whole(held)


class Halves:
    """Joins the characters of one answer, apart for its content, its reasoning, its refusal and each of its calls."""

    def __init__(self) -> None:
        self._joiners: defaultdict[str | int, Joiner] = defaultdict(Joiner)

    def joined(self, chunk: Chunk) -> Chunk:
        """Return a chunk with what is whole of it now, and of what was held back before it."""
        return structs.replace(
            chunk,
            content=self._feed("content", chunk.content),
            reasoning=self._feed("reasoning", chunk.reasoning),
            refusal=self._feed("refusal", chunk.refusal),
            tool_calls=tuple([self._call(call) for call in chunk.tool_calls]),
        )

    def flushed(self, chunk: Chunk) -> Chunk:
        """Return the last chunk with everything that was held back."""
        rest = {key: text for key, joiner in self._joiners.items() if (text := joiner.flush())}
        calls = [ToolCallDelta(key, function=FunctionDelta(None, rest[key])) for key in rest if isinstance(key, int)]
        return structs.replace(
            chunk,
            content=f"{chunk.content or ''}{rest.get('content', '')}" or None,
            reasoning=f"{chunk.reasoning or ''}{rest.get('reasoning', '')}" or None,
            refusal=f"{chunk.refusal or ''}{rest.get('refusal', '')}" or None,
            tool_calls=(*chunk.tool_calls, *calls),
        )

    def _feed(self, key: str | int, text: str | None) -> str | None:
        return self._joiners[key].feed(text) or None if text else None

    def _call(self, call: ToolCallDelta) -> ToolCallDelta:
        function = call.function
        if function is None:
            return call
        arguments = function.arguments and self._joiners[call.index].feed(function.arguments)
        return structs.replace(call, function=FunctionDelta(function.name and whole(function.name), arguments))


def whole(text: str) -> str:
    """Return text without halves of characters."""
    return _whole(_paired(text)) if _SURROGATE.search(text) else text


def _paired(text: str) -> str:
    """Put halves that stand side by side together."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _whole(text: str) -> str:
    return _LONE_HALF.sub(_REPLACEMENT, text).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
