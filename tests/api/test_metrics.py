"""What the metrics count of requests that come over HTTP."""

import httpx2
import pytest
from pytest_django.fixtures import Settings

from accounts.models import Team
from inference.models import Endpoint, Run
from tests.api.scenes import Connect, body, the_run
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import DOLLAR, MODEL, OUTPUT_NANO, asked, prompt_tokens
from tests.metrics import Moved
from tests.patience import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def moved() -> Moved:
    """The metrics from here on."""
    return Moved()


def post(raw: httpx2.Client, **fields: object) -> int:
    return raw.post("/v1/chat/completions", json=body(**fields)).status_code


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_is_counted_with_its_tokens_its_times_and_its_cost(
    raw: httpx2.Client, tgi: FakeTgi, funded: Team, moved: Moved, stream: bool
) -> None:
    assert post(raw, stream=stream, max_tokens=4) == 200
    run = the_run()
    # Of all that is counted at the end, the last.
    until(lambda: moved.by("parley_cost_dollars_total", model=MODEL))
    assert moved.by("parley_cost_dollars_total", model=MODEL) == pytest.approx(run.cost_nano / DOLLAR)
    assert moved.by("parley_requests_total", model=MODEL, ending="length") == 1
    for kind, count in {"prompt": prompt_tokens(), "cached": 0, "generated": 4, "delivered": 4}.items():
        assert moved.by("parley_tokens_total", model=MODEL, kind=kind) == count
    for name in ("first_token", "queue", "run"):
        assert moved.by(f"parley_{name}_seconds_count", model=MODEL) == 1
    assert 0 <= moved.by("parley_between_tokens_seconds_count", model=MODEL) <= 5
    until(lambda: moved.by("parley_charged_dollars_total"))
    assert moved.by("parley_charged_dollars_total") == pytest.approx(run.cost_nano / DOLLAR)
    assert moved.by("parley_holds_total", outcome="taken") == 1
    until(lambda: moved.by("parley_ledger_group_operations_sum") >= 2)
    until(lambda: moved.by("parley_ledger_commit_seconds_count") == moved.by("parley_ledger_group_operations_count"))
    until(lambda: moved.by("parley_http_responses_total", surface="v1", status="200") == 1)


def test_what_a_caller_typed_never_becomes_a_label(
    raw: httpx2.Client, tgi: FakeTgi, funded: Team, moved: Moved
) -> None:
    assert post(raw, model="canary/model", user="canary-user") == 404
    assert raw.get("/v1/models/canary/model").status_code == 404
    assert raw.request("CANARY", "/v1/canary").status_code in (400, 404, 405)
    until(lambda: moved.by("parley_refusals_total", model="", code="model_not_found") == 1)
    assert moved.by("parley_requests_total", model="", ending="refused") == 1
    assert "canary" not in moved.labels.lower()


def test_a_request_without_credits_is_refused_and_so_is_its_hold(
    raw: httpx2.Client, tgi: FakeTgi, team: Team, moved: Moved
) -> None:
    assert post(raw) == 402
    until(lambda: moved.by("parley_refusals_total", model=MODEL, code="insufficient_quota") == 1)
    assert moved.by("parley_requests_total", model=MODEL, ending="refused") == 1
    until(lambda: moved.by("parley_holds_total", outcome="refused") >= 1)
    assert moved.by("parley_charged_dollars_total") == 0


def test_an_engine_that_fails_is_counted_by_kind_and_endpoint(
    raw: httpx2.Client, tgi: FakeTgi, funded: Team, moved: Moved
) -> None:
    endpoint = str(Endpoint.objects.get().pk)
    tgi.script.overloaded = True
    assert post(raw) == 503
    until(lambda: moved.by("parley_upstream_errors_total", endpoint=endpoint, kind="overloaded") == 1)
    tgi.script.overloaded, tgi.script.break_after = False, 2
    assert post(raw) == 500
    until(lambda: moved.by("parley_upstream_errors_total", endpoint=endpoint, kind="failed") == 1)
    until(lambda: moved.by("parley_requests_total", model=MODEL, ending="engine_error") == 2)


def test_requests_are_counted_where_they_are_and_in_the_end_nowhere(
    connect: Connect, tgi: FakeTgi, funded: Team, moved: Moved
) -> None:
    Endpoint.objects.update(concurrency=1)
    tgi.script.silent_after = 1
    with connect(body(stream=True)) as first:
        first.read_words(1)
        assert moved.by("parley_in_flight", model=MODEL) == 1
        with connect(body(stream=True)):
            until(lambda: moved.by("parley_queued", model=MODEL) == 1)
        until(lambda: moved.by("parley_queued", model=MODEL) == 0)
        assert moved.by("parley_in_flight", model=MODEL) == 1
    until(lambda: moved.by("parley_in_flight", model=MODEL) == 0)
    until(lambda: moved.by("parley_requests_total", model=MODEL, ending="disconnected") == 2)
    until(lambda: moved.by("parley_cost_dollars_total", model=MODEL) * DOLLAR >= OUTPUT_NANO)


@pytest.mark.usefixtures("funded")
def test_a_full_queue_refuses_and_blames_no_engine(
    connect: Connect, raw: httpx2.Client, tgi: FakeTgi, moved: Moved, settings: Settings
) -> None:
    Endpoint.objects.update(concurrency=1)
    settings.QUEUE_SECONDS = 0.1
    tgi.script.silent_after = 1
    endpoint = str(Endpoint.objects.get().pk)
    with connect(body(stream=True)) as first:
        first.read_words(1)
        assert post(raw) == 503
        until(lambda: moved.by("parley_refusals_total", model=MODEL, code="engine_overloaded") == 1)
        assert moved.by("parley_upstream_errors_total", endpoint=endpoint, kind="overloaded") == 0
    assert Run.objects.filter(error="EngineOverloaded").count() == 1


def test_a_reader_that_is_cut_is_counted(
    connect: Connect, tgi: FakeTgi, funded: Team, moved: Moved, settings: Settings
) -> None:
    settings.READER_BYTES, settings.READER_SECONDS = 1_048_576, 0.5
    tgi.script.endless, tgi.script.tokens_per_write, tgi.script.answer = True, 10, [" " + "x" * 2_000]
    with connect(body(stream=True), receive_bytes=4_096):
        until(lambda: asked(tgi) and asked(tgi)[0].closed_at)
        until(lambda: moved.by("parley_readers_cut_total", surface="v1") == 1)
