"""``/v1/usage``: what was spent on what, as JSON and as CSV; rows have ids by which a list of them goes on."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as BinasciiError
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, date, timedelta
from typing import Annotated, Any, Final

import msgspec
from django.http import StreamingHttpResponse
from django.utils import timezone
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.parameters import Parameters
from api.receipts import dollars, page
from api.scope import scope
from inference.errors import InvalidRequest
from inference.runs.usage import Amount, Dimension, Row, Span, rows, usage
from web.downloads import csv_lines, download

_PREFIX: Final = "usage_"
_COUNTS: Final = ("requests", "errors", "prompt_tokens", "cached_tokens", "completion_tokens")


class _Cursor(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which group a row is for; what was not grouped by is left out."""

    day: date | None = None
    model: str | None = None
    project: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    key: str | None = None


def row_json(row: Row, by: Collection[Dimension], projects: Mapping[int, str]) -> dict[str, object]:
    """Return a row as JSON shows it."""
    amount = row.amount
    return {
        "id": _id(row),
        "object": "usage",
        **dict(zip(by, _names(row, by, projects), strict=True)),
        **{name: getattr(amount, name) for name in _COUNTS},
        "cost": {"nano": amount.cost_nano, "usd": dollars(amount.cost_nano)},
    }


def csv_table(rows: Collection[Row], by: Collection[Dimension], projects: Mapping[int, str]) -> Iterator[str]:
    """Write a table: what was grouped by, then the sums."""
    heading = [*by, *_COUNTS, "cost_nano", "cost_usd"]
    return csv_lines(heading, ([*_names(row, by, projects), *_sums(row.amount)] for row in rows))


def row_at(cursor: str, by: Collection[Dimension]) -> Row:
    """Return the group that a row's id stands for. Raises InvalidRequest for what is no id of this grouping."""
    try:
        written = urlsafe_b64decode(cursor.removeprefix(_PREFIX).encode("ascii"))
        found = msgspec.json.decode(written, type=_Cursor)
    except (UnicodeEncodeError, BinasciiError, msgspec.DecodeError):
        found = None
    row = None if found is None else Row(Amount(), **msgspec.structs.asdict(found))
    if row is None or _id(row) != cursor or not _is_of(row, by):
        raise InvalidRequest("after is the id of a row on the page before, with the same group_by.", param="after")
    return row


def _id(row: Row) -> str:
    cursor = _Cursor(row.day, row.model, row.project, row.key)
    return _PREFIX + urlsafe_b64encode(msgspec.json.encode(cursor)).decode()


def _is_of(row: Row, by: Collection[Dimension]) -> bool:
    """Whether a row is of this grouping, and its texts are such as a database will take."""
    texts = (row.model or "", row.key or "")
    return all(text.isprintable() for text in texts) and all(
        (getattr(row, dimension) is not None) == (dimension in by) for dimension in Dimension
    )


def _names(row: Row, by: Collection[Dimension], projects: Mapping[int, str]) -> list[object]:
    """Return what a row is for, as callers name it; no key means the browser."""
    names = {
        Dimension.DAY: row.day.isoformat() if row.day else None,
        Dimension.MODEL: row.model,
        Dimension.PROJECT: projects.get(row.project) if row.project is not None else None,
        Dimension.KEY: row.key or None,
    }
    return [names[dimension] for dimension in by]


def _sums(amount: Amount) -> list[object]:
    counts = asdict(amount)
    return [*(counts[name] for name in _COUNTS), amount.cost_nano, dollars(amount.cost_nano)]


DEFAULT_DAYS: Final = 30
DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1_000
FORMATS: Final = ("json", "csv")


class CsvRenderer(BaseRenderer):
    """Stands for CSV in the choice of a format; the view writes the file itself."""

    media_type = "text/csv"
    format = "csv"


class UsageList(APIView):
    """``GET /v1/usage``: sums of whole days, by day, model, project and key, in any combination."""

    renderer_classes = [JSONRenderer, CsvRenderer]

    def get(self, request: Request) -> Response | StreamingHttpResponse:
        """Show a page of JSON, or all of it as CSV. Raises InvalidRequest."""
        known = ("start", "end", "group_by", "limit", "after", "format")
        asked = Parameters(request.query_params, known)
        span = _span(asked)
        chosen = asked.choices("group_by", Dimension, default=[Dimension.DAY])
        by = [dimension for dimension in Dimension if dimension in chosen]
        reach = scope(request)
        if request.accepted_renderer.format == "csv":
            for name in ("limit", "after"):
                if name in asked:
                    raise InvalidRequest(f"{name} is for JSON: CSV is always whole.", param=name)
            return _file(csv_table(usage(reach.runs, span, by).rows, by, reach.projects), span)
        limit = asked.integer("limit", default=DEFAULT_LIMIT, maximum=MAX_LIMIT)
        after = row_at(asked.text("after"), by) if "after" in asked else None
        found = rows(reach.runs, span, by, limit=limit + 1, after=after)
        shown = [row_json(row, by, reach.projects) for row in found[:limit]]
        days = {"start": span.first_day, "end": span.last_day}
        return Response({**page(shown, has_more=len(found) > limit), **days})

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[Any, str]:
        """Choose by ``format``, else by ``Accept``. Raises InvalidRequest for a format that is none."""
        if not force and request.query_params.get("format", "json") not in FORMATS:
            raise InvalidRequest(f"format is one of {', '.join(FORMATS)}.", param="format")
        return super().perform_content_negotiation(request, force)

    def handle_exception(self, exc: Exception) -> Response:
        """Say what went wrong in JSON, also to those who asked for CSV."""
        self.request.accepted_renderer = JSONRenderer()
        self.request.accepted_media_type = JSONRenderer.media_type
        return super().handle_exception(exc)


def _span(asked: Parameters) -> Span:
    """Return the days asked for: the last DEFAULT_DAYS, where nothing else is said. Raises InvalidRequest."""
    end = asked.day("end", default=timezone.now().astimezone(UTC).date())
    # Only the first days of all have fewer days before them.
    before = timedelta(days=min(DEFAULT_DAYS, end.toordinal()) - 1)
    start = asked.day("start", default=end - before)
    if start > end and "end" not in asked:
        raise InvalidRequest("start is a day that has yet to come.", param="start")
    return Span(start, end)


def _file(lines: Iterator[str], span: Span) -> StreamingHttpResponse:
    return download(lines, f"usage_{span.first_day}_{span.last_day}.csv", "text/csv; charset=utf-8")
