"""A bar for each day, in parts, drawn as SVG on the server: no script, and no style that the page's policy refuses."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from inference.runs.usage import Amount, Dimension, Usage

WIDTH: Final = 720
HEIGHT: Final = 160
# So many parts have a colour of their own; the rest is one.
MAX_PARTS: Final = 5
OTHER: Final = "Other"
# Between two bars, as a part of one day's room.
_GAP: Final = 0.28
_SHORTEST: Final = 3.0


@dataclass(frozen=True, slots=True)
class Part:
    """One group over the whole span; ``colour`` names its class."""

    name: str
    colour: str
    amount: Amount


@dataclass(frozen=True, slots=True)
class Block:
    """A part of one day's bar; lengths in the drawing's own units, from the top."""

    colour: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Day:
    """One day's bar, and its parts' amounts in the order of the chart's parts."""

    day: date
    total: Amount
    amounts: list[Amount]
    x: float
    width: float
    blocks: list[Block]


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn: ``top_nano`` is as high as the drawing."""

    parts: list[Part]
    days: list[Day]
    top_nano: int

    @property
    def half_nano(self) -> int:
        """What the line in the middle stands for."""
        return self.top_nano // 2


def group_of(usage: Usage, by: Dimension) -> list[tuple[str | int, Amount]]:
    """Return each group's part of a usage, the dearest first."""
    if by == Dimension.PROJECT:
        return [*usage.by_project]
    return [*(usage.by_key if by == Dimension.KEY else usage.by_model)]


def chart(usage: Usage, by: Dimension, names: Mapping[str | int, str]) -> Chart:
    """Draw a usage by day and one more dimension."""
    groups = group_of(usage, by)
    order = {group: min(index, MAX_PARTS) for index, (group, _) in enumerate(groups)}
    parts = [
        Part(names[group], f"chart-{index + 1}", amount) for index, (group, amount) in enumerate(groups[:MAX_PARTS])
    ]
    if rest := groups[MAX_PARTS:]:
        parts.append(Part(f"{OTHER} ({len(rest)})", "chart-other", sum((amount for _, amount in rest), Amount())))
    amounts: defaultdict[date | None, list[Amount]] = defaultdict(lambda: [Amount()] * len(parts))
    for row in usage.rows:
        amounts[row.day][order[getattr(row, by.value)]] += row.amount
    days = usage.by_day
    top_nano = _round_number(max(amount.cost_nano for _, amount in days))
    room = WIDTH / len(days)
    drawn = [
        Day(
            day,
            total,
            amounts[day],
            round(index * room + room * _GAP / 2, 2),
            round(room * (1 - _GAP), 2),
            _blocks(amounts[day], parts, top_nano),
        )
        for index, (day, total) in enumerate(days)
    ]
    return Chart(parts, drawn, top_nano)


def _blocks(amounts: Sequence[Amount], parts: Sequence[Part], top_nano: int) -> list[Block]:
    """Pile up a day's parts, the dearest at the bottom; a day of free requests still shows."""
    blocks: list[Block] = []
    y = float(HEIGHT)
    for amount, part in zip(amounts, parts, strict=True):
        height = HEIGHT * amount.cost_nano / top_nano if top_nano else 0.0
        if not height and amount.requests and not blocks:
            height = _SHORTEST
        if height:
            y -= height
            blocks.append(Block(part.colour, round(y, 2), round(height, 2)))
    return blocks


def _round_number(nano: int) -> int:
    """Return the next of 1, 2, 5, 10, 20, 50 … that is not below the amount; nothing for nothing."""
    magnitude = 10 ** (len(str(nano)) - 1)
    return next(step * magnitude for step in (1, 2, 5, 10) if step * magnitude >= nano) if nano else 0
