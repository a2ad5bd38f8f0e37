"""Bodies that mean harm, or mean nothing: always a clear refusal in the one shape, never a breakdown."""

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Team
from inference.chat import Chat
from inference.models import Run
from tests.api.scenes import balance, body
from tests.credits.proof import proof_count
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import DOLLAR, HELLO, MODEL, asked, cost_nano
from tests.patience import PATIENCE_SECONDS, until
from tests.server import Server

pytestmark = pytest.mark.django_db(transaction=True)

EXPECTED = {200, 400, 401, 402, 403, 404, 413, 429, 503}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["user", "tool"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from([field.name for field in msgspec.structs.fields(Chat)])
roles = st.sampled_from(["system", "developer", "user", "assistant", "tool", "king"])
texts = st.text(max_size=20) | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=5)}))
messages = st.lists(
    st.fixed_dictionaries({"role": roles, "content": texts}, optional={"tool_call_id": st.text(), "x": anything})
)
nearly_right = st.fixed_dictionaries(
    {"model": st.just(MODEL), "messages": st.just(HELLO) | messages},
    optional={
        "max_tokens": st.integers(-1, 5_000),
        "temperature": st.floats(-1, 3),
        "top_p": st.floats(0, 1),
        "presence_penalty": st.floats(-2, 2),
        "seed": st.integers(-(2**64), 2**64),
        "stop": st.text(max_size=3) | st.lists(st.text(max_size=3), max_size=6),
        "stream": st.booleans(),
        "logprobs": st.booleans(),
        "top_logprobs": st.integers(0, 6),
    },
)


def check(response: httpx2.Response) -> None:
    assert response.status_code in EXPECTED, response.text
    assert response.headers["x-request-id"].startswith("req_")
    if response.status_code != 200:
        assert set(response.json()["error"]) == {"message", "type", "param", "code", "doc_url"}


def test_random_bodies_are_answered_or_refused_in_the_one_shape(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    @settings(
        max_examples=proof_count(reduced=120, full=5_000),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.one_of(
            nearly_right,
            st.builds(lambda right, extra: right | extra, nearly_right, st.dictionaries(names, anything, max_size=3)),
            anything,
        )
    )
    def ask(content: Any) -> None:
        # NaN and Infinity are written as Python writes them, and lone surrogates as they come.
        check(raw.post("/v1/chat/completions", content=json.dumps(content).encode()))

    ask()
    check_books(funded)


def test_random_bytes_are_refused(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    right = json.dumps(body()).encode()

    @settings(
        max_examples=proof_count(reduced=60, full=5_000),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.binary(max_size=40), st.integers(0, len(right)), st.integers(0, 5))
    def ask(noise: bytes, place: int, cut: int) -> None:
        check(raw.post("/v1/chat/completions", content=right[:place] + noise + right[place + cut :]))

    ask()
    check_books(funded)


def check_books(team: Team) -> None:
    """Check that exactly the delivered answers were paid for."""
    runs = Run.objects.all()
    assert balance(team) == DOLLAR - sum(run.cost_nano for run in runs)
    assert all(run.cost_nano <= run.held_nano for run in runs)


def test_bodies_made_to_hurt_are_refused(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    user = {"role": "user", "content": "x"}
    refused: list[tuple[bytes | dict[str, Any], int]] = [
        (b"[" * 1_000_000, 400),
        (b'{"model":' * 200_000, 400),
        (b'{"metadata":' + b'{"a":' * 300_000, 400),
        (b'{"model":"x","messages":[' + b"{}," * 600_000 + b"{}]}", 400),
        (body(model="\x00"), 404),
        (body(model="../../etc/passwd"), 404),
        (body(model="é" * 200), 404),
        (body(messages=[user] * 2_049), 400),
        (body(messages=[{"role": "tool", "content": "x"}]), 400),
        (
            body(
                messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://10.0.0.1"}}]}]
            ),
            400,
        ),
        (
            body(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc"}}]}]),
            400,
        ),
        (body(max_tokens=10**18), 400),
        (body(stop=["x"] * 5), 400),
        (body(logit_bias={"1": 5}), 400),
        (body(n=128), 400),
        (body(tools=[{"type": "function", "function": {"name": "f" * 65}}]), 400),
    ]
    for content, status in refused:
        written = content if isinstance(content, bytes) else json.dumps(content).encode()
        response = raw.post("/v1/chat/completions", content=written)
        assert response.status_code == status, (written[:80], response.text)
        check(response)
    assert not asked(tgi)
    assert balance(funded) == DOLLAR


def test_an_image_is_refused_by_name_where_the_model_reads_none(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    messages = [{"role": "user", "content": "x"}, {"role": "user", "content": [{"type": "text", "text": "x"}, image]}]
    response = raw.post("/v1/chat/completions", json=body(messages=messages))
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, "messages[1].content[1]")
    assert not asked(tgi)
    assert balance(funded) == DOLLAR


def test_nested_schemas_are_taken_or_refused_at_any_depth(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    for depth in (1, 50, 63, 64, 65, 100, 200, 400, *range(500, 1_000, 25)):
        schema = '{"a":' * depth + "{}" + "}" * depth
        tools = [{"type": "function", "function": {"name": "f", "parameters": "SCHEMA"}}]
        content = json.dumps(body(tools=tools)).replace('"SCHEMA"', schema)
        response = raw.post("/v1/chat/completions", content=content)
        assert response.status_code == (200 if depth < 64 else 400)
        check(response)


def test_special_characters_go_through_as_they_are(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    content = "\x00\x01\x7f\u2028\ud7ff\ufffe <|im_start|>system\n 🦊 \\u0000"
    response = raw.post("/v1/chat/completions", json=body(messages=[{"role": "user", "content": content}]))
    assert response.status_code == 200
    assert asked(tgi)[0].json["messages"] == [{"role": "user", "content": content}]


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: evil.example", 400),
        (b"GET /v1/models HTTP/1.1\r\nHost: evil.example", 401),
        (b"GET /v1/models HTTP/1.0", 401),
        (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3", 400),
        (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: -1", 400),
        (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999", 413),
        (b"BREW /v1/chat/completions HTTP/1.1\r\nHost: x", 400),
    ],
)
def test_odd_requests_are_answered(site: Server, request_line: bytes, status: int) -> None:
    address = urlsplit(site.url)
    place = (str(address.hostname), int(address.port or 0))
    with socket.create_connection(place, timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(request_line + b"\r\n\r\n")
        answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 %d" % status), answer
    assert b"Traceback" not in answer


def test_a_prompt_at_the_edge_of_the_context_is_counted_exactly(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    for words in (4_070, 4_080, 4_084, 4_088, 4_090, 4_100, 100_000):
        prompt = [{"role": "user", "content": "a" + " a" * words}]
        response = raw.post("/v1/chat/completions", json=body(messages=prompt, max_tokens=1))
        check(response)
        if response.status_code == 200:
            run = Run.objects.latest("started_at")
            assert run.cost_nano == cost_nano(1, prompt)
            assert run.held_nano >= run.cost_nano
    until(lambda: Run.objects.count() == 7)
    check_books(funded)
