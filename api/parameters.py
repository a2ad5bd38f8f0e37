"""The query of an address, read strictly: what is unknown, given twice or out of range is refused by its name."""

from collections.abc import Collection
from datetime import date
from enum import StrEnum
from typing import TypeVar

from django.http import QueryDict

from inference.errors import InvalidRequest

_Choice = TypeVar("_Choice", bound=StrEnum)
# So much of an unknown name is said back.
_SHOWN_CHARACTERS = 64


class Parameters:
    """What was asked for beside the path. Every reader raises InvalidRequest, which names the parameter."""

    def __init__(self, query: QueryDict, known: Collection[str]) -> None:
        for name, values in query.lists():
            if name not in known:
                shown = name[:_SHOWN_CHARACTERS]
                raise InvalidRequest(f"Unknown parameter: {shown}", param=shown)
            if len(values) > 1:
                raise InvalidRequest(f"{name} is given more than once.", param=name)
        self._values = query.dict()

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str:
        """Return a text; empty if it is not given."""
        return str(self._values.get(name, ""))

    def integer(self, name: str, *, default: int, maximum: int) -> int:
        """Return a whole number from 1 to the maximum."""
        if name not in self:
            return default
        text = self.text(name)
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(maximum)) and 1 <= int(text) <= maximum):
            raise InvalidRequest(f"{name} is a whole number from 1 to {maximum}.", param=name)
        return int(text)

    def day(self, name: str, *, default: date) -> date:
        """Return a day, written as 2026-01-31."""
        if name not in self:
            return default
        text = self.text(name)
        try:
            day = date.fromisoformat(text)
        except ValueError:
            day = None
        # Python also reads weeks and dates without dashes.
        if day is None or day.isoformat() != text:
            raise InvalidRequest(f"{name} is a day in UTC, such as 2026-01-31.", param=name)
        return day

    def choices(self, name: str, allowed: type[_Choice], *, default: Collection[_Choice]) -> list[_Choice]:
        """Return the chosen values, given with commas between them; an empty text chooses none."""
        if name not in self:
            return list(default)
        chosen = self.text(name).split(",") if self.text(name) else []
        known = {each.value: each for each in allowed}
        if len(set(chosen)) < len(chosen) or not set(chosen) <= set(known):
            raise InvalidRequest(f"{name} is any of {', '.join(known)}, each once, with commas between.", param=name)
        return [known[each] for each in chosen]
