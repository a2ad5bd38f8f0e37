"""The four numbers that a page of usage begins with, each with its course over the days."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from console.templatetags.humane import grouped, short_time
from credits.money import format_dollars, short_dollars
from inference.runs.first_tokens import FirstTokens
from inference.runs.usage import Usage

WIDTH: Final = 100
HEIGHT: Final = 24
# Room for the line's own width at the top and the bottom.
_MARGIN: Final = 2


@dataclass(frozen=True, slots=True)
class Tile:
    """A number with its name; ``exact`` where the number is rounded, ``points`` of the line in the drawing's units."""

    name: str
    value: str
    points: str
    exact: str = ""
    is_bad: bool = False


def tiles(usage: Usage, waits: FirstTokens) -> list[Tile]:
    """Return what was spent, asked for, failed, and how long the first token took."""
    total, days = usage.total, [amount for _, amount in usage.by_day]
    spent, exact = short_dollars(total.cost_nano), format_dollars(total.cost_nano)
    return [
        Tile("Spent", spent, line([day.cost_nano for day in days]), exact if exact != spent else ""),
        Tile("Requests", grouped(total.requests), line([day.requests for day in days])),
        Tile("Errors", grouped(total.errors), line([day.errors for day in days]), is_bad=total.errors > 0),
        Tile("p95 to first token", short_time(waits.p95_seconds), line(waits.by_day)),
    ]


def line(values: Sequence[float | None]) -> str:
    """Return the points of a line through the values there are; nothing for fewer than two of them."""
    known = [(index, value) for index, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return ""
    top, step = max(value for _, value in known), WIDTH / (len(values) - 1)
    scale = (HEIGHT - 2 * _MARGIN) / top if top else 0
    return " ".join(f"{index * step:.4g},{HEIGHT - _MARGIN - value * scale:.4g}" for index, value in known)
