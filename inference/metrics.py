"""What the spine counts for Prometheus, and what one run measures of itself on the way.

Labels are bounded: models and endpoints are the catalogue's, endings, codes and kinds are our own words. Nothing that a
caller typed becomes one, and no project, person or key. A request for a model that does not exist has the model "".
"""

from time import perf_counter
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from core.errors import code_of
from credits.money import NANO
from inference import errors
from inference.models import Run
from inference.runs.receipt import Receipt

REFUSED: Final = "refused"
# Of so many gaps between reads one is measured: observing costs half as much as all else that is done for a batch.
GAPS: Final = 8

# A gap between two tokens, a wait, a whole answer: in seconds.
_SHORT: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)
_MEDIUM: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_LONG: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)

_REQUESTS = Counter("parley_requests", "Requests for an answer that ended, by how.", ["model", "ending"])
_REFUSALS = Counter(
    "parley_refusals", "Requests that no engine was asked about, by the error's code.", ["model", "code"]
)
_TOKENS = Counter("parley_tokens", "Tokens: prompt, the cached part of it, generated, delivered.", ["model", "kind"])
_COST = Counter("parley_cost_dollars", "What answers cost.", ["model"])
_READERS_CUT = Counter("parley_readers_cut", "Readers that took nothing for too long, by surface.", ["surface"])
_FIRST_TOKEN = Histogram(
    "parley_first_token_seconds", "From the request to the first token, queue included.", ["model"], buckets=_MEDIUM
)
_BETWEEN_TOKENS = Histogram(
    "parley_between_tokens_seconds",
    "Between two reads from an engine that brought tokens; one in eight.",
    ["model"],
    buckets=_SHORT,
)
_QUEUE = Histogram("parley_queue_seconds", "Waiting for a place at an engine.", ["model"], buckets=_MEDIUM)
_RUN = Histogram("parley_run_seconds", "From the request to the settled charge.", ["model"], buckets=_LONG)
_IN_FLIGHT = Gauge("parley_in_flight", "Requests at an engine now.", ["model"], multiprocess_mode="livesum")
_QUEUED = Gauge("parley_queued", "Requests that wait for a place at an engine.", ["model"], multiprocess_mode="livesum")
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


class _OfModel:
    """The series of one model, found once: a look-up by label costs more than the counting."""

    def __init__(self, model: str) -> None:
        self.endings = {ending: _REQUESTS.labels(model, ending) for ending in (*Run.Ending.values, REFUSED)}
        self.prompt, self.cached = _TOKENS.labels(model, "prompt"), _TOKENS.labels(model, "cached")
        self.generated, self.delivered = _TOKENS.labels(model, "generated"), _TOKENS.labels(model, "delivered")
        self.cost = _COST.labels(model)
        self.first_token, self.between_tokens = _FIRST_TOKEN.labels(model), _BETWEEN_TOKENS.labels(model)
        self.queue, self.run = _QUEUE.labels(model), _RUN.labels(model)
        self.in_flight, self.queued = _IN_FLIGHT.labels(model), _QUEUED.labels(model)


_models: dict[str, _OfModel] = {}


class Meter:
    """Measures one run, on the process's own clock. Safe to end at any stage."""

    __slots__ = (
        "_batches",
        "_began_at",
        "_gauge",
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
        self._series: _OfModel | None = None
        self._gauge: Gauge | None = None

    def found(self, model_id: str) -> None:
        """The catalogue has the model."""
        self.model = model_id
        self._series = _series(model_id)

    def queued(self) -> None:
        """A place at an engine is asked for."""
        assert self._series
        self._queued_at = perf_counter()
        self._count_in(self._series.queued)

    def admitted(self) -> None:
        """It has the place."""
        assert self._series
        self.queue_seconds = perf_counter() - self._queued_at
        self._series.queue.observe(self.queue_seconds)
        self._count_in(self._series.in_flight)

    def took(self) -> None:
        """A read from the engine brought something: the one call for each batch. The first gap of GAPS is measured."""
        place = self._batches % GAPS
        self._batches += 1
        if place == 0:
            self._took_at = perf_counter()
        elif place == 1:
            self._series.between_tokens.observe(perf_counter() - self._took_at)  # type: ignore[union-attr]

    def left(self) -> None:
        """The place is given back."""
        self._count_in(None)

    def ended(self, receipt: Receipt, failure: Exception | None) -> None:
        """The run is settled; everything that is counted once is counted here."""
        self._count_in(None)
        self.seconds = perf_counter() - self._began_at
        self.ending = _ending(receipt, failure)
        series = self._series or _series("")
        series.endings[self.ending].inc()
        if self.ending == REFUSED:
            _REFUSALS.labels(self.model, code_of(failure)).inc()
            return
        series.run.observe(self.seconds)
        if receipt.first_token_seconds is not None:
            series.first_token.observe(receipt.first_token_seconds)
        if receipt.ending is Run.Ending.SLOW_READER:
            reader_cut("v1")
        series.prompt.inc(receipt.usage.prompt_tokens)
        series.cached.inc(receipt.usage.cached_tokens)
        series.generated.inc(receipt.generated_tokens)
        series.delivered.inc(receipt.usage.completion_tokens)
        series.cost.inc(receipt.cost_nano / NANO)

    def _count_in(self, gauge: Gauge | None) -> None:
        """Be counted in one gauge at a time."""
        if self._gauge:
            self._gauge.dec()
        if gauge:
            gauge.inc()
        self._gauge = gauge


def upstream_failed(endpoint_id: int, error: errors.EngineError) -> None:
    """Count a failure of an endpoint, whether or not the caller hears of it."""
    _UPSTREAM_ERRORS.labels(endpoint_id, _KINDS.get(type(error), "failed")).inc()


def reader_cut(surface: str) -> None:
    """Count a reader that was too slow: of ``v1``, whose run ends with it, or of ``browser``, whose run goes on."""
    _READERS_CUT.labels(surface).inc()


def responded(surface: str, status: int) -> None:
    """Count an HTTP response."""
    _RESPONSES.labels(surface, status).inc()


def _series(model: str) -> _OfModel:
    if model not in _models:
        _models[model] = _OfModel(model)
    return _models[model]


def _ending(receipt: Receipt, failure: Exception | None) -> str:
    """Return how a run ended; one that failed before it had an endpoint was refused."""
    was_asked = receipt.endpoint_id is not None
    if failure and not was_asked and receipt.ending in (Run.Ending.ENGINE_ERROR, Run.Ending.OUT_OF_CREDITS):
        return REFUSED
    return receipt.ending.value
