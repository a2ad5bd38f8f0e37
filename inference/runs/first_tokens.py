"""How long callers waited for the first token."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date
from typing import Final

from django.db.models import DurationField, ExpressionWrapper, F, QuerySet

from inference.models import Run
from inference.runs.usage import Span

# So many of the latest runs are looked at: neither database sorts a million durations while a page waits.
MAX_RUNS: Final = 5_000
PERCENT: Final = 95


@dataclass(frozen=True, slots=True)
class FirstTokens:
    """The 95th percentile of the seconds to the first token, in all and for each day; None where there was none."""

    p95_seconds: float | None
    by_day: list[float | None]


def first_tokens(runs: "QuerySet[Run]", span: Span) -> FirstTokens:
    """Return how long the span's latest runs took to their first token."""
    begun = span.runs(runs).filter(first_token_at__isnull=False).order_by("-started_at")
    seconds: defaultdict[date, list[float]] = defaultdict(list)
    waits = begun.annotate(wait=ExpressionWrapper(F("first_token_at") - F("started_at"), DurationField()))
    for started_at, wait in waits.values_list("started_at", "wait")[:MAX_RUNS]:
        seconds[started_at.astimezone(UTC).date()].append(wait.total_seconds())
    every = [each for day in seconds.values() for each in day]
    return FirstTokens(percentile(every), [percentile(seconds[day]) for day in span.days])


def percentile(values: Sequence[float]) -> float | None:
    """Return the smallest value that PERCENT of all do not exceed; None of nothing."""
    if not values:
        return None
    return sorted(values)[-(-len(values) * PERCENT // 100) - 1]
