"""A run's course from its hold to its end, drawn as SVG on the server, and told in words beside it."""

from dataclasses import dataclass
from typing import Final

from credits.money import format_dollars
from inference.runs.receipts import RunReceipt

WIDTH: Final = 720


@dataclass(frozen=True, slots=True)
class Step:
    """What happened so many seconds after the run began."""

    seconds: float
    words: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The steps in order; ``waited`` is how much of the drawing's width passed before the first token."""

    steps: list[Step]
    waited: float

    @property
    def answered(self) -> float:
        """How much of the width is left for the answer."""
        return round(WIDTH - self.waited, 2)


def timeline(receipt: RunReceipt) -> Timeline:
    """Return what happened when. A run without a token waited to its end."""
    run, first_token = receipt.run, receipt.first_token_seconds
    lasted = max((run.ended_at - run.started_at).total_seconds(), 0.0)
    steps = [Step(0.0, f"Begun, with at most {format_dollars(receipt.held_nano)} held")]
    if first_token is not None:
        steps.append(Step(first_token, "First token"))
    amounts = f"{format_dollars(receipt.charged_nano)} charged, {format_dollars(receipt.released_nano)} given back"
    steps.append(Step(lasted, f"Ended: {amounts}"))
    waited = lasted if first_token is None else min(first_token, lasted)
    return Timeline(steps, round(WIDTH * waited / lasted, 2) if lasted else 0.0)
