"""One line in the log for each request, which tells everything but what was said."""

import json
import logging
from typing import Any

import httpx2
import pytest
from pytest_django.fixtures import Settings

from accounts.keys import authenticate
from accounts.models import Project, Team
from config.log_format import JsonFormatter
from inference.models import Endpoint
from tests.api.scenes import Connect, body, the_run
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import MODEL, prompt_tokens
from tests.patience import until

pytestmark = pytest.mark.django_db(transaction=True)

CANARY = "canary-in-the-prompt"


class Lines:
    """The requests' lines so far, as fields, after a turn through JSON."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog
        caplog.set_level(logging.DEBUG)

    def all(self) -> list[dict[str, Any]]:
        records = [record for record in self._caplog.records if record.name == "parley.requests"]
        return [json.loads(JsonFormatter().format(record)) for record in records]

    def one(self) -> dict[str, Any]:
        """Return the only line, once it is written."""
        until(self.all)
        (line,) = self.all()
        return line

    @property
    def text(self) -> str:
        """Everything in the log but what the tests' own client writes, in both formats."""
        ours = [record for record in self._caplog.records if not record.name.startswith(("httpx", "httpcore"))]
        formatters = JsonFormatter(), logging.Formatter("%(levelname)s %(name)s: %(message)s")
        return "\n".join(formatter.format(record) for record in ours for formatter in formatters)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """What is logged, at every level."""
    return Lines(caplog)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.usefixtures("tgi", "funded")
def test_an_answer_has_one_line_with_everything_but_what_was_said(
    raw: httpx2.Client, api_key: str, project: Project, lines: Lines, stream: bool
) -> None:
    response = raw.post("/v1/chat/completions?key=canary-query", json=body(stream=stream, max_tokens=4))
    run = the_run()
    line = lines.one()
    assert line["request_id"] == response.headers["x-request-id"]
    assert {name: line[name] for name in ("run_id", "method", "path", "status", "model")} == {
        "run_id": run.pk,
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "model": MODEL,
    }
    caller = authenticate(api_key, None)
    assert (line["project_id"], line["user_id"], line["key_id"]) == (project.pk, caller.user_id, caller.key_id)
    assert (line["prompt_tokens"], line["generated_tokens"], line["delivered_tokens"]) == (prompt_tokens(), 4, 4)
    assert (line["ending"], line["cost_nano"], line["endpoint_id"]) == (
        "length",
        run.cost_nano,
        Endpoint.objects.get().pk,
    )
    assert 0 <= line["queue_seconds"] <= line["first_token_seconds"] <= line["run_seconds"]
    assert line["seconds"] > 0
    assert "error" not in line
    assert "canary-query" not in lines.text


def test_no_prompt_no_answer_and_no_secret_is_ever_logged(
    raw: httpx2.Client, api_key: str, tgi: FakeTgi, funded: Team, lines: Lines
) -> None:
    messages = [{"role": "user", "content": CANARY}]
    tgi.script.answer = [" fox-of-the-answer"]
    asked: list[dict[str, Any]] = [
        body(messages=messages, max_tokens=4),
        body(messages=messages, stream=True, user=CANARY, metadata={"a": CANARY}),
        body(messages=messages, model=CANARY),
        body(messages=messages, temperature=CANARY),
        body(messages=messages, logit_bias={CANARY: 1}),
        {CANARY: CANARY},
    ]
    for content in asked:
        raw.post("/v1/chat/completions", json=content)
    raw.post("/v1/chat/completions", content=f'{{"{CANARY}'.encode())
    tgi.script.failure = f'data: {{"error":"{CANARY}","error_type":"{CANARY}"}}\n\n'.encode()
    tgi.script.fail_after = 1
    raw.post("/v1/chat/completions", json=body(messages=messages, stream=True))
    raw.get(f"/v1/models/x?api_key={api_key}", headers={"Authorization": f"Bearer {api_key}x"})
    raw.get(f"/v1/{api_key}", headers={"Cookie": f"sessionid={CANARY}"})
    until(lambda: len(lines.all()) == 10)
    secret = api_key.split("_")[2]
    assert CANARY not in lines.text
    assert "fox-of-the-answer" not in lines.text
    assert secret not in lines.text


@pytest.mark.usefixtures("tgi")
@pytest.mark.parametrize("site", [True], indirect=True)
def test_a_refused_request_has_a_line_with_its_code(raw: httpx2.Client, lines: Lines, settings: Settings) -> None:
    def refuse(status: int, **more: Any) -> dict[str, Any]:
        before = len(lines.all())
        response = raw.post("/v1/chat/completions", **{"json": body(), **more})
        assert response.status_code == status
        until(lambda: len(lines.all()) > before)
        line = lines.all()[-1]
        assert (line["status"], line["error"]) == (status, response.json()["error"]["code"])
        assert line["request_id"] == response.headers["x-request-id"]
        return line

    assert "user_id" not in refuse(401, headers={"Authorization": "Bearer nonsense"})
    line = refuse(402)
    assert (line["ending"], line["model"], line["cost_nano"]) == ("refused", MODEL, 0)
    assert line["key_id"]
    assert refuse(400, json=body(temperature=9))["user_id"] == line["user_id"]
    assert "model" not in refuse(404, json=body(model="no/such"))
    settings.PROJECT_CONCURRENCY = 0
    assert refuse(429)["ending"] == "refused"
    settings.MAX_BODY_BYTES = 10
    refuse(413)


def test_a_client_that_goes_away_has_a_line_once_its_run_is_charged(
    connect: Connect, tgi: FakeTgi, funded: Team, lines: Lines
) -> None:
    tgi.script.silent_after = 2
    with connect(body(stream=True)) as wire:
        wire.read_words(2)
        assert lines.all() == []
    line = lines.one()
    assert (line["status"], line["ending"], line["delivered_tokens"]) == (200, "disconnected", 2)
    assert line["cost_nano"] == the_run().cost_nano > 0


def test_a_client_that_goes_away_before_the_answer_is_499(
    connect: Connect, tgi: FakeTgi, funded: Team, lines: Lines
) -> None:
    tgi.script.silent_after = 0
    with connect(body()):
        until(lambda: any(request.path == "/v1/chat/completions" for request in tgi.requests))
    line = lines.one()
    assert (line["status"], line["ending"], line["cost_nano"]) == (499, "disconnected", 0)


def test_a_failure_inside_the_stream_is_named(raw: httpx2.Client, tgi: FakeTgi, funded: Team, lines: Lines) -> None:
    tgi.script.fail_after = 2
    raw.post("/v1/chat/completions", json=body(stream=True))
    line = lines.one()
    assert (line["status"], line["ending"], line["error"]) == (200, "engine_error", "server_error")


def test_an_answer_that_is_repeated_is_not_counted_again(
    raw: httpx2.Client, tgi: FakeTgi, funded: Team, lines: Lines
) -> None:
    for _ in range(2):
        raw.post("/v1/chat/completions", json=body(), headers={"Idempotency-Key": "once"})
    until(lambda: len(lines.all()) == 2)
    first, second = lines.all()
    assert second["run_id"] == first["run_id"]
    assert (first["cost_nano"] > 0, "cost_nano" in second, second["replayed"]) == (True, False, True)


def test_pages_and_resources_have_lines_and_what_only_looks_is_quiet(
    raw: httpx2.Client, api_key: str, lines: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    raw.get("/v1/models")
    raw.get("/login?next=/canary-query")
    raw.get("/no%0Aline\u2028/☃" + "x" * 500)
    raw.get("/healthz")
    until(lambda: len(lines.all()) == 4)
    # A line may be written just after the client has its answer.
    health, page, odd, resource = sorted(lines.all(), key=lambda line: line["path"])
    assert (resource["path"], resource["key_id"], resource["status"]) == ("/v1/models", api_key.split("_")[1], 200)
    assert (page["path"], page["status"], "key_id" in page) == ("/login", 200, False)
    assert odd["path"].startswith("/no%0Aline%E2%80%A8/%E2%98%83")
    assert len(odd["path"]) < 250
    assert health["level"] == "DEBUG"
    (record,) = [
        record for record in caplog.records if record.name == "parley.requests" and "/login" in str(record.msg)
    ]
    assert record.getMessage().startswith("GET /login 200 request_id=req_")
    assert not [record for record in caplog.records if record.name == "django.request"]


@pytest.mark.parametrize("path", ["/", "/docs/errors"])
def test_a_wrong_host_is_one_line_without_the_host(raw: httpx2.Client, lines: Lines, path: str) -> None:
    assert raw.get(path, headers={"Host": f"evil.{CANARY}.example"}).status_code == 400
    assert lines.one()["status"] == 400
    assert lines.text.count("ALLOWED_HOSTS") == 2
    assert CANARY not in lines.text
    assert "Traceback" not in lines.text
