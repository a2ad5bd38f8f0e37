"""How large the automaton of a regular expression becomes: what is repeated counts as often as it may be."""

import re
from typing import Final

MAX_CHARACTERS: Final = 4_096
MAX_DEPTH: Final = 32
MAX_STEPS: Final = 50_000
# A number with more digits is too large, whatever it says.
_MAX_DIGITS: Final = 6

# A brace that counts nothing stands for itself.
_COUNTED: Final = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")
_ESCAPE: Final = re.compile(
    r"\\(?:u\{[0-9a-fA-F]+\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[pP]\{[^}]*\}|k<[^>]*>|c[a-zA-Z]|.)", re.DOTALL
)
_CLASS: Final = re.compile(r"\[\^?\]?(?:[^\]\\]|\\.)*\]", re.DOTALL)
# Looking ahead and behind, names and numbers of groups, and edges of words.
_CONTEXT: Final = re.compile(r"\(\?(?!:)|\\[bBk1-9]")
_GROUP: Final = re.compile(r"\((?:\?(?:[:=!]|<[=!]|P?<\w+>))?")


class PatternRefused(ValueError):
    """A pattern that is none, or that is too large; the message says what is wrong with it."""


def pattern_steps(pattern: str) -> int:
    """Return how many steps a pattern has with its repetitions written out. Raises PatternRefused."""
    if len(pattern) > MAX_CHARACTERS:
        raise PatternRefused(f"has more than {MAX_CHARACTERS} characters")
    counter = _Counter()
    position = 0
    while position < len(pattern):
        position = counter.take(pattern, position)
    return counter.end()


def anchored(pattern: str) -> str | None:
    """Return a pattern that begins with ``^`` and ends with ``$`` and means the same; None where there is none.

    A pattern of JSON Schema may be found anywhere in a text.
    """
    marks, has_branches = _marks(pattern)
    begins, ends = pattern.startswith("^"), bool(marks) and marks[-1] == len(pattern) - 1 and pattern.endswith("$")
    inner = [mark for mark in marks if not (mark == 0 and begins) and not (mark == len(pattern) - 1 and ends)]
    if inner or (has_branches and (begins or ends)):
        return None
    core = pattern[begins : len(pattern) - ends]
    core = f"({core})" if has_branches else core
    return f"^{'' if begins else '.*'}{core}{'' if ends else '.*'}$"


def is_regular(pattern: str) -> bool:
    """Whether a pattern has nothing that depends on what stands around it, or before."""
    return not _CONTEXT.search(_CLASS.sub("", pattern.replace("\\\\", "")))


def _marks(pattern: str) -> tuple[list[int], bool]:
    """Return where ``^`` and ``$`` stand for an edge of the text, and whether there are branches outside of groups."""
    marks, has_branches, depth, position = [], False, 0, 0
    while position < len(pattern):
        sign = pattern[position]
        if sign in "^$":
            marks.append(position)
        depth += (sign == "(") - (sign == ")")
        has_branches |= sign == "|" and depth == 0
        position = _end_of_step(pattern, position)
    return marks, has_branches


class _Counter:
    """Counts the steps of a pattern, piece by piece."""

    def __init__(self) -> None:
        self._steps = 0
        # The steps before each group that is still open.
        self._open: list[int] = []
        # The steps of what a repetition would repeat; None where there is nothing.
        self._last: int | None = None

    def take(self, pattern: str, position: int) -> int:
        """Count the piece that stands at a position, and return where the next one begins. Raises PatternRefused."""
        sign = pattern[position]
        if sign == "(":
            end = self._begin_group(pattern, position)
        elif sign == ")":
            self._end_group()
            end = position + 1
        elif sign in "*+?" or _COUNTED.match(pattern, position):
            end = self._repeat(pattern, position)
        elif sign in "|^$":
            self._last = None
            end = position + 1
        else:
            end = _end_of_step(pattern, position)
            self._steps, self._last = self._steps + 1, 1
        return end

    def end(self) -> int:
        """Return the steps of the whole pattern. Raises PatternRefused."""
        if self._open:
            raise PatternRefused("has a group without end")
        return max(1, self._steps)

    def _begin_group(self, pattern: str, position: int) -> int:
        if len(self._open) == MAX_DEPTH:
            raise PatternRefused(f"has more than {MAX_DEPTH} groups inside each other")
        self._open.append(self._steps)
        self._steps, self._last = 0, None
        group = _GROUP.match(pattern, position)
        assert group
        return group.end()

    def _end_group(self) -> None:
        if not self._open:
            raise PatternRefused("ends a group that was not begun")
        self._last = max(1, self._steps)
        self._steps = self._open.pop() + self._last

    def _repeat(self, pattern: str, position: int) -> int:
        if self._last is None:
            raise PatternRefused("repeats nothing")
        times, end = _times(pattern, position)
        self._steps += self._last * (times - 1)
        if self._steps > MAX_STEPS:
            raise PatternRefused(f"has more than {MAX_STEPS} steps with its repetitions written out")
        self._last = None
        # As few as possible, or without going back: as many all the same.
        return end + 1 if pattern[end : end + 1] in ("?", "+") else end


def _end_of_step(pattern: str, position: int) -> int:
    """Return where one character, one escape or one class ends. Raises PatternRefused."""
    kind = {"\\": _ESCAPE, "[": _CLASS}.get(pattern[position])
    if kind is None:
        return position + 1
    found = kind.match(pattern, position)
    if not found:
        raise PatternRefused("has a class without end" if kind is _CLASS else "ends with a backslash")
    return found.end()


def _times(pattern: str, position: int) -> tuple[int, int]:
    """Return how often something may be repeated, and where that ends; with no upper bound, once more than it must."""
    if pattern[position] != "{":
        return 1, position + 1
    counted = _COUNTED.match(pattern, position)
    assert counted
    least, comma, most = counted.groups()
    if max(len(least), len(most or "")) > _MAX_DIGITS:
        raise PatternRefused("repeats something too often")
    if most and int(most) < int(least):
        raise PatternRefused("repeats something at least more often than at most")
    return max(1, int(most) if most else int(least) + bool(comma)), counted.end()
