"""A custom tool's input, read out of a function's arguments while they are still coming."""

import re
from typing import Final

import msgspec

from web.chat.tools import INPUT, input_of

_BEGINNING: Final = re.compile(rf'\s*\{{\s*"{INPUT}"\s*:\s*"')
# What may still become the beginning.
_SCRAPS: Final = re.compile(r'[\s{":a-z]*')
# The longest text of which a piece must not be cut: an escaped pair of surrogates.
_PIECE: Final = re.compile(
    r'(?:[^"\\]|\\[^u]|\\u(?![dD][89abAB])[0-9a-fA-F]{4}|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[0-9a-fA-F]{4})*'
)


class InputReader:
    """Reads the one text of arguments such as ``{"input": "…"}``; other arguments are passed on whole, in the end."""

    def __init__(self) -> None:
        self._arguments = ""
        # How far the text was read; None while it is not known where it begins.
        self._read: int | None = None
        self._is_other = self._is_over = False

    def feed(self, piece: str) -> str:
        """Return what a piece of the arguments adds to the text."""
        self._arguments += piece
        if self._is_other or self._is_over:
            return ""
        if self._read is None:
            beginning = _BEGINNING.match(self._arguments)
            if beginning is None:
                self._is_other = not _SCRAPS.fullmatch(self._arguments)
                return ""
            self._read = beginning.end()
        found = _PIECE.match(self._arguments, self._read)
        assert found, "the pattern also fits nothing"
        self._read = found.end()
        self._is_over = self._arguments[self._read : self._read + 1] == '"'
        try:
            text: str = msgspec.json.decode(f'"{found.group()}"', strict=False)
        except msgspec.DecodeError:
            return found.group()
        return text

    def end(self) -> str:
        """Return what is left of it once the arguments are whole."""
        return input_of(self._arguments) if self._read is None else ""
