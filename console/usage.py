"""What was spent on what: sums over runs, by day and by model."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import reduce
from typing import Final

from django.db.models import Count, F, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from inference.models import Run

PERIODS_DAYS: Final = (7, 30, 90)
RUNS_PER_PAGE: Final = 25


@dataclass(frozen=True, slots=True)
class Amount:
    """Requests, tokens and nano-credits."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_nano: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(
            self.requests + other.requests,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cost_nano + other.cost_nano,
        )


@dataclass(frozen=True, slots=True)
class ModelDay:
    """What one model took on one day (UTC)."""

    day: date
    model: str
    amount: Amount


@dataclass(frozen=True, slots=True)
class Usage:
    """A period of whole days up to and including today."""

    first_day: date
    last_day: date
    rows: list[ModelDay] = field(default_factory=list)

    @property
    def total(self) -> Amount:
        """Everything together."""
        return _sum(row.amount for row in self.rows)

    @property
    def by_model(self) -> list[tuple[str, Amount]]:
        """Each model's part, the dearest first."""
        parts: defaultdict[str, Amount] = defaultdict(Amount)
        for row in self.rows:
            parts[row.model] += row.amount
        return sorted(parts.items(), key=lambda part: (-part[1].cost_nano, part[0]))

    @property
    def by_day(self) -> list[tuple[date, Amount]]:
        """Every day's part, those without a request included, in order of time."""
        parts: defaultdict[date, Amount] = defaultdict(Amount)
        for row in self.rows:
            parts[row.day] += row.amount
        length = (self.last_day - self.first_day).days + 1
        return [(day, parts[day]) for day in (self.first_day + timedelta(days=index) for index in range(length))]


def usage(runs: "QuerySet[Run]", days: int) -> Usage:
    """Sum up the runs that started in the last ``days`` days, today included."""
    today = timezone.now().astimezone(UTC).date()
    first_day = today - timedelta(days=days - 1)
    rows = (
        runs.filter(started_at__gte=datetime.combine(first_day, time.min, UTC))
        .values(day=TruncDate("started_at", tzinfo=UTC), name=F("model_id"))
        .annotate(
            requests=Count("pk"), prompt=Sum("prompt_tokens"), completion=Sum("delivered_tokens"), cost=Sum("cost_nano")
        )
        .order_by("-day", "-cost", "name")
    )
    return Usage(
        first_day,
        today,
        [
            ModelDay(row["day"], row["name"], Amount(row["requests"], row["prompt"], row["completion"], row["cost"]))
            for row in rows
        ],
    )


def _sum(amounts: Iterable[Amount]) -> Amount:
    return reduce(Amount.__add__, amounts, Amount())


def latest(runs: "QuerySet[Run]", before: datetime | None) -> tuple[list[Run], datetime | None]:
    """Return the latest runs that started before a moment, and from where the next page goes on, if there is one."""
    if before is not None:
        runs = runs.filter(started_at__lt=before)
    found = list(runs.select_related("project__team", "user").order_by("-started_at")[: RUNS_PER_PAGE + 1])
    page = found[:RUNS_PER_PAGE]
    return page, page[-1].started_at if len(found) > RUNS_PER_PAGE else None
