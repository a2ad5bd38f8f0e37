"""What the spine counts for Prometheus, and what one run measures of itself on the way.

Everything is counted in plain numbers, of the event loop's thread; ``flush`` adds what is new to Prometheus's own,
which take locks and, where several processes share them, write files. A process that serves alone does so with each
scrape; one of several at the end of each run, for whichever is scraped reads the files of all.

Labels are bounded: models and endpoints are the catalogue's, endings, codes and kinds are our own words. Nothing that a
caller typed becomes one, and no project, person or key. A request for a model that does not exist has the model "".
"""

import os
import threading
from bisect import bisect_left
from collections import Counter as Count
from collections.abc import Iterable, Sequence
from operator import sub
from time import perf_counter
from typing import Any, Final, Literal

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, Metric
from prometheus_client.registry import Collector

from core.errors import code_of
from credits.money import NANO
from inference import errors
from inference.models import Run
from inference.runs.receipt import Receipt

REFUSED: Final = "refused"
# Of so many gaps between reads one is measured: observing costs half as much as all else that is done for a batch.
GAPS: Final = 8

# Whether several processes share the numbers; prometheus_client asks the same.
_IS_SHARED: Final = "PROMETHEUS_MULTIPROC_DIR" in os.environ

# A gap between two tokens, a wait, a whole answer: in seconds.
_SHORT: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)
_MEDIUM: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_LONG: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class _Flush(Collector):
    """Registered before what it flushes, so that each scrape finds that complete."""

    def describe(self) -> Iterable[Metric]:
        """Name nothing."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return nothing of its own."""
        flush()
        return ()


class _Distribution(Histogram):
    """A histogram to which many observations are added at once."""

    def add(self, counts: Sequence[int], total: float) -> None:
        """Add so many to each bucket, and their sum."""
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(total)


REGISTRY.register(_Flush())
_REQUESTS = Counter("parley_requests", "Requests for an answer that ended, by how.", ["model", "ending"])
_REFUSALS = Counter(
    "parley_refusals", "Requests that no engine was asked about, by the error's code.", ["model", "code"]
)
_TOKENS = Counter("parley_tokens", "Tokens: prompt, the cached part of it, generated, delivered.", ["model", "kind"])
_COST = Counter("parley_cost_dollars", "What answers cost.", ["model"])
_READERS_CUT = Counter("parley_readers_cut", "Subscribers that took nothing for too long, by surface.", ["surface"])
_FIRST_TOKEN = _Distribution(
    "parley_first_token_seconds", "From the request to the first token, queue included.", ["model"], buckets=_MEDIUM
)
_BETWEEN_TOKENS = _Distribution(
    "parley_between_tokens_seconds",
    "Between two reads from an engine that brought tokens; one in eight.",
    ["model"],
    buckets=_SHORT,
)
_QUEUE = _Distribution("parley_queue_seconds", "Waiting for a slot at a replica.", ["model"], buckets=_MEDIUM)
_RUN = _Distribution("parley_run_seconds", "From the request to the settled charge.", ["model"], buckets=_LONG)
_IN_FLIGHT = Gauge("parley_in_flight", "Requests at an engine now.", ["model"], multiprocess_mode="livesum")
_QUEUED = Gauge("parley_queued", "Requests that wait for a slot at a replica.", ["model"], multiprocess_mode="livesum")
_UPSTREAM_ERRORS = Counter(
    "parley_upstream_errors", "Failures of engines, by the endpoint's id and kind.", ["endpoint", "kind"]
)
_RESPONSES = Counter("parley_http_responses", "HTTP responses, by surface and status.", ["surface", "status"])

_KINDS: Final = {
    errors.EngineRefused: "refused",
    errors.ContextExceeded: "refused",
    errors.EngineOverloaded: "overloaded",
    errors.EngineUnavailable: "unavailable",
    errors.EngineTimeout: "timeout",
}


class _Observed:
    """Observations since the start, by bucket, and their sum."""

    __slots__ = ("_added", "_added_total", "_bounds", "_counts", "_metric", "_total")

    def __init__(self, metric: Any, bounds: Sequence[float]) -> None:
        self._metric: _Distribution = metric
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0
        self._added, self._added_total = self._counts.copy(), 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._total += seconds

    def flush(self) -> None:
        """Add what is new to the metric."""
        counts, total = self._counts.copy(), self._total
        if counts != self._added:
            self._metric.add(list(map(sub, counts, self._added)), total - self._added_total)
            self._added, self._added_total = counts, total


class _Series:
    """What is counted of one model."""

    __slots__ = (
        "_flushed",
        "_model",
        "between_tokens",
        "cached",
        "cost_nano",
        "delivered",
        "endings",
        "first_token",
        "generated",
        "in_flight",
        "prompt",
        "queue",
        "queued",
        "run",
    )

    def __init__(self, model: str) -> None:
        self._model = model
        self.endings: Count[str] = Count(dict.fromkeys((*Run.Ending.values, REFUSED), 0))
        self.prompt = self.cached = self.generated = self.delivered = self.cost_nano = 0
        self.in_flight = self.queued = 0
        self.first_token = _Observed(_FIRST_TOKEN.labels(model), _MEDIUM)
        self.between_tokens = _Observed(_BETWEEN_TOKENS.labels(model), _SHORT)
        self.queue, self.run = _Observed(_QUEUE.labels(model), _MEDIUM), _Observed(_RUN.labels(model), _LONG)
        self._flushed: dict[Counter, float] = {}
        self.flush()

    def flush(self) -> None:
        """Add what is new to the metrics."""
        for ending, count in self.endings.items():
            self._add(_REQUESTS.labels(self._model, ending), count)
        for kind in ("prompt", "cached", "generated", "delivered"):
            self._add(_TOKENS.labels(self._model, kind), getattr(self, kind))
        self._add(_COST.labels(self._model), self.cost_nano / NANO)
        for observed in (self.first_token, self.between_tokens, self.queue, self.run):
            observed.flush()
        self.set_gauges()

    def set_gauges(self) -> None:
        """Tell what is under way now."""
        _IN_FLIGHT.labels(self._model).set(self.in_flight)
        _QUEUED.labels(self._model).set(self.queued)

    def _add(self, metric: Counter, value: float) -> None:
        new = value - self._flushed.get(metric, 0)
        if new:
            metric.inc(new)
        self._flushed[metric] = value


class _Counts:
    """All that this process counted; process-wide, as Prometheus's registry is."""

    flushing = threading.Lock()
    series: dict[str, _Series] = {}
    responses: Count[tuple[str, int]] = Count()
    flushed_responses: Count[tuple[str, int]] = Count()


def flush() -> None:
    """Add what was counted since the last time to the metrics; for any thread."""
    with _Counts.flushing:
        for series in tuple(_Counts.series.values()):
            series.flush()
        for (surface, status), count in tuple(_Counts.responses.items()):
            if new := count - _Counts.flushed_responses[surface, status]:
                _RESPONSES.labels(surface, status).inc(new)
                _Counts.flushed_responses[surface, status] = count


class Meter:
    """Measures one run, on the process's own clock. Safe to end at any stage."""

    __slots__ = (
        "_batches",
        "_began_at",
        "_counted_in",
        "_queued_at",
        "_series",
        "_took_at",
        "ending",
        "model",
        "queue_seconds",
        "seconds",
    )

    def __init__(self) -> None:
        # The model's id once the catalogue has it.
        self.model = ""
        self.ending = ""
        self.queue_seconds: float | None = None
        self.seconds = 0.0
        self._began_at = perf_counter()
        self._queued_at = self._took_at = 0.0
        self._batches = 0
        self._series: _Series | None = None
        self._counted_in: Literal["", "queued", "in_flight"] = ""

    def found(self, model_id: str) -> None:
        """The catalogue has the model."""
        self.model = model_id
        self._series = _series(model_id)

    def queued(self) -> None:
        """A slot at a replica is asked for."""
        self._queued_at = perf_counter()
        self._count_in("queued")

    def admitted(self) -> None:
        """It has the slot."""
        self.queue_seconds = perf_counter() - self._queued_at
        self._series.queue.observe(self.queue_seconds)  # type: ignore[union-attr]
        self._count_in("in_flight")

    def took(self) -> None:
        """A read from the engine brought something: the one call for each batch. The first gap of GAPS is measured."""
        number = self._batches % GAPS
        self._batches += 1
        if number == 0:
            self._took_at = perf_counter()
        elif number == 1:
            self._series.between_tokens.observe(perf_counter() - self._took_at)  # type: ignore[union-attr]

    def left(self) -> None:
        """The slot is given back."""
        self._count_in("")

    def ended(self, receipt: Receipt, failure: Exception | None) -> None:
        """The run is settled; everything that is counted once is counted here."""
        self._count_in("")
        self.seconds = perf_counter() - self._began_at
        self.ending = _ending(receipt, failure)
        series = self._series or _series("")
        series.endings[self.ending] += 1
        if self.ending == REFUSED:
            _REFUSALS.labels(self.model, code_of(failure)).inc()
        else:
            self._measure(series, receipt)
        if _IS_SHARED:
            with _Counts.flushing:
                series.flush()

    def _measure(self, series: _Series, receipt: Receipt) -> None:
        series.run.observe(self.seconds)
        if receipt.first_token_seconds is not None:
            series.first_token.observe(receipt.first_token_seconds)
        if receipt.ending == Run.Ending.SLOW_READER:
            reader_cut("v1")
        series.prompt += receipt.usage.prompt_tokens
        series.cached += receipt.usage.cached_tokens
        series.generated += receipt.generated_tokens
        series.delivered += receipt.usage.completion_tokens
        series.cost_nano += receipt.cost_nano

    def _count_in(self, gauge: Literal["", "queued", "in_flight"]) -> None:
        """Be counted in one gauge at a time."""
        series = self._series
        if series is None or gauge == self._counted_in:
            return
        if self._counted_in == "queued":
            series.queued -= 1
        elif self._counted_in:
            series.in_flight -= 1
        if gauge == "queued":
            series.queued += 1
        elif gauge:
            series.in_flight += 1
        self._counted_in = gauge
        if _IS_SHARED:
            series.set_gauges()


def upstream_failed(endpoint_id: int, error: errors.EngineError) -> None:
    """Count a failure of an endpoint, whether or not the caller hears of it."""
    _UPSTREAM_ERRORS.labels(endpoint_id, _KINDS.get(type(error), "failed")).inc()


def reader_cut(surface: str) -> None:
    """Count a subscriber that was too slow: of ``v1``, whose run ends with it, or of ``browser``, whose run goes on."""
    _READERS_CUT.labels(surface).inc()


def responded(surface: str, status: int) -> None:
    """Count an HTTP response."""
    if _IS_SHARED:
        _RESPONSES.labels(surface, status).inc()
    else:
        _Counts.responses[surface, status] += 1


def _series(model: str) -> _Series:
    series = _Counts.series.get(model)
    if series is None:
        series = _Counts.series[model] = _Series(model)
    return series


def _ending(receipt: Receipt, failure: Exception | None) -> str:
    """Return how a run ended; one that failed before it had an endpoint was refused."""
    was_asked = receipt.endpoint_id is not None
    if failure and not was_asked and receipt.ending in (Run.Ending.ENGINE_ERROR, Run.Ending.OUT_OF_CREDITS):
        return REFUSED
    return receipt.ending
