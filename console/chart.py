"""A bar for each day, drawn as SVG on the server: no script, and no style that the page's policy would refuse."""

from dataclasses import dataclass
from datetime import date

from console.usage import Usage

WIDTH = 720
HEIGHT = 120
# Between two bars, as a part of one day's room.
_GAP = 0.28
_SHORTEST = 3.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One day's bar; lengths in the drawing's own units."""

    day: date
    cost_nano: int
    requests: int
    x: float
    y: float
    width: float
    height: float


def bars(usage: Usage) -> list[Bar]:
    """Return the bars of a period, the dearest day as high as the drawing; a free request still shows."""
    days = usage.by_day
    dearest = max((amount.cost_nano for _, amount in days), default=0)
    room = WIDTH / len(days)
    drawn = []
    for index, (day, amount) in enumerate(days):
        height = HEIGHT * amount.cost_nano / dearest if dearest else 0.0
        if amount.requests:
            height = max(height, _SHORTEST)
        x, width = index * room + room * _GAP / 2, room * (1 - _GAP)
        measures = (round(number, 2) for number in (x, HEIGHT - height, width, height))
        drawn.append(Bar(day, amount.cost_nano, amount.requests, *measures))
    return drawn
