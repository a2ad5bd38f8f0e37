"""Messages as Anthropic's clients ask for them: whole, streamed, with tools, and errors in their shape."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from accounts.models import Team
from tests.api.scenes import balance, the_run
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import DOLLAR, MODEL, asked, cost_nano
from tests.patience import PATIENCE_SECONDS
from tests.server import Server

pytestmark = pytest.mark.django_db(transaction=True)

SAID = "The quick brown fox jumps over the lazy dog."


@pytest.fixture
def anthropic(site: Server, api_key: str) -> Iterator[httpx2.Client]:
    """A client as Anthropic's are."""
    headers = {"x-api-key": api_key, "anthropic-version": "2023-06-01"}
    with httpx2.Client(base_url=site.url, headers=headers, timeout=PATIENCE_SECONDS) as client:
        yield client


@pytest.fixture(autouse=True)
def _answer(tgi: FakeTgi) -> None:
    """Have an answer that ends by itself."""
    tgi.script.answer = [f"{' ' if place else ''}{word}" for place, word in enumerate(SAID.split())]


def body(**more: Any) -> dict[str, Any]:
    said = {"role": "user", "content": "Who jumps?"}
    return {"model": MODEL, "max_tokens": 50, "system": "Be brief.", "messages": [said]} | more


def events(text: str) -> list[dict[str, Any]]:
    *framed, rest = text.split("\n\n")
    assert rest == ""
    return [json.loads(event.split("\n")[1].removeprefix("data: ")) for event in framed]


def test_a_message_is_answered_and_paid_for(anthropic: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    answer = anthropic.post("/v1/messages?beta=true", json=body())
    message = answer.json()
    assert answer.status_code == 200
    assert message["content"] == [{"type": "text", "text": SAID}]
    assert (message["type"], message["role"], message["model"]) == ("message", "assistant", MODEL)
    assert message["stop_reason"] == "end_turn"
    assert message["id"] == f"msg_{answer.headers['x-request-id'].removeprefix('req_')}"
    run = the_run()
    assert message["usage"]["input_tokens"] == run.prompt_tokens
    assert message["usage"]["output_tokens"] == run.delivered_tokens
    assert DOLLAR - balance(funded) == run.cost_nano == cost_nano(run.delivered_tokens)
    assert asked(tgi)[0].json["messages"][0] == {"role": "system", "content": "Be brief."}


def test_a_streamed_message_has_the_same_words(anthropic: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    found = events(anthropic.post("/v1/messages", json=body(stream=True)).text)
    assert [event["type"] for event in found[:3]] == ["message_start", "ping", "content_block_start"]
    assert [event["type"] for event in found[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
    assert "".join(event["delta"].get("text", "") for event in found if "delta" in event) == SAID
    assert found[-2]["usage"]["output_tokens"] == the_run().delivered_tokens


def test_a_tool_is_called_and_its_result_goes_on(anthropic: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    tools = [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}]
    tgi.script.tool_call = ("weather", ['{"city":', '"Paris"}'])
    message = anthropic.post("/v1/messages", json=body(tools=tools)).json()
    (called,) = message["content"]
    assert (called["type"], called["name"], called["input"]) == ("tool_use", "weather", {"city": "Paris"})
    assert message["stop_reason"] == "tool_use"
    tgi.script.tool_call = None
    turns = [
        {"role": "user", "content": "Who jumps?"},
        {"role": "assistant", "content": message["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": called["id"], "content": "rain"}]},
    ]
    assert anthropic.post("/v1/messages", json=body(tools=tools, messages=turns)).json()["stop_reason"] == "end_turn"
    assert asked(tgi)[1].json["messages"][-1]["content"] == "rain"


def test_errors_have_anthropics_shape(anthropic: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    def refused(status: int, kind: str, **more: Any) -> str:
        response = anthropic.post("/v1/messages", json=body(**more))
        told = response.json()
        assert (response.status_code, told["type"], told["error"]["type"]) == (status, "error", kind)
        assert told["request_id"] == response.headers["x-request-id"]
        return str(told["error"]["message"])

    refused(400, "invalid_request_error", temperature=3)
    refused(404, "not_found_error", model="no/such")
    long = [{"role": "user", "content": "word " * 5000}]
    assert refused(400, "invalid_request_error", messages=long).startswith("prompt is too long: 50")
    assert refused(400, "invalid_request_error", max_tokens=4090).startswith("input length and `max_tokens` exceed")
    tgi.script.overloaded = True
    refused(529, "overloaded_error")
    tgi.script.overloaded = False
    anthropic.headers["x-api-key"] = "wrong"
    refused(401, "authentication_error")


def test_no_credits_is_a_billing_error(anthropic: httpx2.Client, tgi: FakeTgi) -> None:
    response = anthropic.post("/v1/messages", json=body(stream=True))
    assert (response.status_code, response.json()["error"]["type"]) == (402, "billing_error")
    assert response.headers["x-should-retry"] == "false"


def test_a_stream_that_breaks_ends_with_an_error(anthropic: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.fail_after = 4
    found = events(anthropic.post("/v1/messages", json=body(stream=True)).text)
    assert (found[-1]["type"], found[-1]["error"]["type"]) == ("error", "api_error")


def test_the_tokens_of_a_prompt_are_counted(anthropic: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    question = {name: value for name, value in body().items() if name != "max_tokens"}
    counted = anthropic.post("/v1/messages/count_tokens?beta=true", json=question).json()
    message = anthropic.post("/v1/messages", json=body()).json()
    assert counted == {"input_tokens": message["usage"]["input_tokens"]}


def test_what_was_left_out_is_named(anthropic: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    answer = anthropic.post("/v1/messages", json=body(thinking={"type": "adaptive"}, context_management={}))
    assert answer.headers["parley-ignored"] == "context_management, thinking"
