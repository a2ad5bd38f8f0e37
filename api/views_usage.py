"""``/v1/usage``: what was spent on what, as JSON and as CSV."""

from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any, Final

from django.http import StreamingHttpResponse
from django.utils import timezone
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api import usage_rows
from api.parameters import Parameters
from api.scope import scope
from api.views_receipts import page
from inference.downloads import download
from inference.errors import InvalidRequest
from inference.usage import Dimension, Span, rows, usage

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
            return _file(usage_rows.csv(usage(reach.runs, span, by).rows, by, reach.projects), span)
        limit = asked.integer("limit", default=DEFAULT_LIMIT, maximum=MAX_LIMIT)
        after = usage_rows.place(asked.text("after"), by) if "after" in asked else None
        found = rows(reach.runs, span, by, limit=limit + 1, after=after)
        shown = [usage_rows.fields(row, by, reach.projects) for row in found[:limit]]
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
