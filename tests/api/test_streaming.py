"""The official client asks for a stream."""

import threading

import httpx2
import openai
import pytest
from openai import OpenAI

from accounts.models import Team
from api import exchange
from tests.api.scenes import balance, body, events, said, the_run
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import DOLLAR, MODEL, cost_nano, prompt_tokens

pytestmark = pytest.mark.django_db(transaction=True)


def test_tokens_come_one_by_one_and_usage_at_the_end(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    stream = client.chat.completions.create(**body(stream=True, stream_options={"include_usage": True}))
    *chunks, last = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks).startswith("The quick brown")
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["stop"]
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({(chunk.id, chunk.model, chunk.object, chunk.created) for chunk in [*chunks, last]}) == 1
    assert chunks[0].id == f"chatcmpl-{the_run().id}"
    assert (last.choices, last.model) == ([], MODEL)
    assert last.usage
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (prompt_tokens(), 11)


def test_usage_comes_to_those_who_ask(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    chunks = list(client.chat.completions.create(**body(stream=True)))
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


def test_the_charge_is_settled_before_the_stream_ends(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    for _ in client.chat.completions.create(**body(stream=True, max_tokens=4)):
        pass
    assert balance(funded) == DOLLAR - cost_nano(4)
    assert the_run().streamed


def test_a_token_is_passed_on_when_it_comes(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.silent_after, tgi.script.let_go = 1, threading.Event()
    stream = client.chat.completions.create(**body(stream=True, max_tokens=3))
    said = (chunk.choices[0].delta.content for chunk in stream if chunk.choices[0].delta.content)
    assert next(said) == "The"
    # Until then the engine has said nothing else.
    tgi.script.let_go.set()
    assert list(said) == [" quick", " brown"]


def test_a_stream_is_well_framed(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.answer = ["a\n\ndata: [DONE]\n\n", "\r\n", "b"]
    response = raw.post("/v1/chat/completions", json=body(stream=True))
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert said(events(response.text)) == "a\n\ndata: [DONE]\n\n\r\nb"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_it_does_not_matter_how_the_engines_bytes_are_cut(
    client: OpenAI, tgi: FakeTgi, funded: Team, size: int
) -> None:
    tgi.script.bytes_per_write = size
    stream = client.chat.completions.create(**body(stream=True, max_tokens=2))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "The quick"


def test_an_error_after_the_first_token_ends_the_stream_with_an_event(
    client: OpenAI, tgi: FakeTgi, funded: Team
) -> None:
    tgi.script.fail_after = 3
    stream = client.chat.completions.create(**body(stream=True))
    heard = []
    with pytest.raises(openai.APIError) as raised:
        heard += [chunk.choices[0].delta.content for chunk in stream]
    assert not isinstance(raised.value, openai.APIStatusError)
    assert (raised.value.code, raised.value.type) == ("server_error", "server_error")
    assert "CUDA" not in str(raised.value.body)


def test_a_refusal_of_a_stream_is_a_true_status(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.overloaded = True
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(**body(stream=True))
    assert raised.value.status_code == 503
    assert raised.value.response.headers["retry-after"] == "2"


@pytest.mark.parametrize("first", ["The", ""])
def test_a_silence_is_filled_with_comments_once_the_engine_is_at_work(
    raw: httpx2.Client, tgi: FakeTgi, funded: Team, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    monkeypatch.setattr(exchange, "SILENCE_SECONDS", 0.1)
    tgi.script.answer = [first, " fox"]
    tgi.script.silent_after, tgi.script.let_go = 1, threading.Event()
    with raw.stream("POST", "/v1/chat/completions", json=body(stream=True)) as response:
        assert response.status_code == 200
        lines = response.iter_lines()
        while next(lines) != ":":
            pass
        tgi.script.let_go.set()
        assert any(" fox" in line for line in lines)


def test_a_silence_before_the_engine_has_sent_anything_decides_no_status(
    raw: httpx2.Client, tgi: FakeTgi, funded: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "SILENCE_SECONDS", 0.1)
    tgi.script.before_headers = 1.5
    tgi.script.overloaded = True
    assert raw.post("/v1/chat/completions", json=body(stream=True)).status_code == 503
