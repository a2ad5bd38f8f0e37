"""What was spent on what: one aggregate over runs, grouped as asked. Every surface that shows usage asks here.

Days are UTC, amounts nano-credits, everything an integer. ``runs`` is narrowed to projects by whoever asks, which is
also what makes the database use the index ``runs_by_project_and_start``.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import reduce
from typing import Any, Final, TypeVar

from django.db.models import Count, DateField, Func, Q, QuerySet, Sum
from django.utils import timezone

from inference.errors import InvalidRequest
from inference.models import Run

MAX_SPAN_DAYS: Final = 366
MAX_ROWS: Final = 50_000

# What went wrong on our side of the wire; a caller who leaves or stops is no error.
ERRORS: Final = (Run.Ending.ENGINE_ERROR, Run.Ending.TIMEOUT)

_Name = TypeVar("_Name", str, int)


class Dimension(StrEnum):
    """By what usage can be grouped; rows are ordered by those asked for, in this order, ascending."""

    DAY = "day"
    MODEL = "model"
    PROJECT = "project"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class Amount:
    """Requests, tokens and nano-credits; ``errors`` are among the requests, ``cached_tokens`` among the prompt's."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_nano: int = 0
    cached_tokens: int = 0
    errors: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(
            self.requests + other.requests,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cost_nano + other.cost_nano,
            self.cached_tokens + other.cached_tokens,
            self.errors + other.errors,
        )


@dataclass(frozen=True, slots=True)
class Span:
    """Whole days, the first and the last included. Raises InvalidRequest, which names ``start`` or ``end``."""

    first_day: date
    last_day: date

    def __post_init__(self) -> None:
        if self.last_day < self.first_day:
            raise InvalidRequest("The end is before the start.", param="end")
        if len(self) > MAX_SPAN_DAYS:
            raise InvalidRequest(f"At most {MAX_SPAN_DAYS} days can be asked for at once.", param="start")

    @classmethod
    def latest(cls, days: int) -> "Span":
        """Return the last so many days, today included."""
        today = timezone.now().astimezone(UTC).date()
        return cls(today - timedelta(days=days - 1), today)

    @property
    def days(self) -> list[date]:
        """Every day, in order of time."""
        return [self.first_day + timedelta(days=index) for index in range(len(self))]

    def __len__(self) -> int:
        return (self.last_day - self.first_day).days + 1

    def runs(self, runs: "QuerySet[Run]") -> "QuerySet[Run]":
        """Keep the runs that started in the span."""
        first = datetime.combine(self.first_day, time.min, UTC)
        return runs.filter(started_at__gte=first, started_at__lte=datetime.combine(self.last_day, time.max, UTC))


@dataclass(frozen=True, slots=True)
class Row:
    """One group's amount; what was not grouped by is None. ``project`` is an id, ``key`` empty for the browser."""

    amount: Amount
    day: date | None = None
    model: str | None = None
    project: int | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """A span's rows, with the sums that pages show; each needs its dimension among those grouped by."""

    span: Span
    rows: list[Row]

    @property
    def total(self) -> Amount:
        """Everything together."""
        return reduce(Amount.__add__, (row.amount for row in self.rows), Amount())

    @property
    def by_model(self) -> list[tuple[str, Amount]]:
        """Each model's part, the dearest first."""
        return _parts((row.model, row.amount) for row in self.rows)

    @property
    def by_project(self) -> list[tuple[int, Amount]]:
        """Each project's part by its id, the dearest first."""
        return _parts((row.project, row.amount) for row in self.rows)

    @property
    def by_key(self) -> list[tuple[str, Amount]]:
        """Each key's part by its id, the dearest first; an empty id for the browser."""
        return _parts((row.key, row.amount) for row in self.rows)

    @property
    def by_day(self) -> list[tuple[date, Amount]]:
        """Every day's part, those without a request included, in order of time: a series for a chart."""
        parts: defaultdict[date | None, Amount] = defaultdict(Amount)
        for row in self.rows:
            parts[row.day] += row.amount
        return [(day, parts[day]) for day in self.span.days]


def usage(runs: "QuerySet[Run]", span: Span, by: Collection[Dimension] = (), *, max_rows: int = MAX_ROWS) -> Usage:
    """Sum up the runs that started in the span. Raises InvalidRequest for more rows than the limit."""
    found = rows(runs, span, by, limit=max_rows + 1)
    if len(found) > max_rows:
        raise InvalidRequest(f"There are more than {max_rows:,} rows: ask for fewer days or groups.", param="group_by")
    return Usage(span, found)


def rows(
    runs: "QuerySet[Run]", span: Span, by: Collection[Dimension] = (), *, limit: int, after: Row | None = None
) -> list[Row]:
    """Return at most ``limit`` rows that come after one, which need not exist. No dimension means one row for all."""
    inside = span.runs(runs)
    if not by:
        return [] if after else [Row(_amount(inside.aggregate(**_SUMS)))]
    columns = [_COLUMNS[dimension] for dimension in Dimension if dimension in by]
    days = inside.annotate(day=_UtcDay("started_at"))
    if after:
        days = days.filter(_behind([(_COLUMNS[each], getattr(after, each)) for each in Dimension if each in by]))
    groups = days.values(*columns).annotate(**_SUMS).order_by(*columns)[:limit]
    return [
        Row(_amount(group), group.get("day"), group.get("model_id"), group.get("project_id"), group.get("key"))
        for group in groups
    ]


class _UtcDay(Func):
    """The day of a moment by each database's own means: Django's would call into Python for each row on SQLite."""

    function = "DATE"
    output_field = DateField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="(%(expressions)s AT TIME ZONE 'UTC')::date", **context)


_COLUMNS: Final = {
    Dimension.DAY: "day",
    Dimension.MODEL: "model_id",
    Dimension.PROJECT: "project_id",
    Dimension.KEY: "key",
}
# By the names of Amount's fields, all but: a sum may not be called as a column is.
_SUMS: Final = {
    "requests": Count("pk"),
    "errors": Count("pk", filter=Q(ending__in=ERRORS)),
    "prompt": Sum("prompt_tokens", default=0),
    "cached": Sum("cached_tokens", default=0),
    "completion": Sum("delivered_tokens", default=0),
    "cost": Sum("cost_nano", default=0),
}


def _amount(sums: dict[str, Any]) -> Amount:
    """Return the sums as integers; PostgreSQL adds 64-bit columns up to a decimal."""
    return Amount(
        requests=sums["requests"],
        prompt_tokens=int(sums["prompt"]),
        completion_tokens=int(sums["completion"]),
        cost_nano=int(sums["cost"]),
        cached_tokens=int(sums["cached"]),
        errors=sums["errors"],
    )


def _behind(place: list[tuple[str, object]]) -> Q:
    """Return the condition that a row's columns come after a place in their order."""
    behind = Q(pk__in=[])
    same = Q()
    for column, value in place:
        behind |= same & Q(**{f"{column}__gt": value})
        same &= Q(**{column: value})
    return behind


def _parts(named: Iterable[tuple[_Name | None, Amount]]) -> list[tuple[_Name, Amount]]:
    parts: defaultdict[_Name, Amount] = defaultdict(Amount)
    for name, amount in named:
        assert name is not None, "the rows were not grouped by it"
        parts[name] += amount
    return sorted(parts.items(), key=lambda part: (-part[1].cost_nano, part[0]))
