"""What an answer may hold beside its text: tool calls, reasoning, log-probabilities, cached tokens."""

import json
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest
from openai import OpenAI

from accounts.models import Team
from inference.models import Endpoint
from tests.api.scenes import balance, body, events, the_run
from tests.fakes.openai_server import FakeLlamaCpp, FakeOpenAI
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import CACHED_NANO, DOLLAR, INPUT_NANO, OUTPUT_NANO, cost_nano, prompt_tokens, register

pytestmark = pytest.mark.django_db(transaction=True)

WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@pytest.fixture
def vllm(engines: ExitStack) -> FakeOpenAI:
    server = engines.enter_context(FakeOpenAI())
    register(server, Endpoint.Kind.OPENAI)
    return server


def delta(content: str | None = None, **more: Any) -> dict[str, Any]:
    """Return one recorded chunk of an OpenAI-like engine."""
    fields = {"content": content} if content else {}
    finish_reason, usage, logprobs = (more.pop(name, None) for name in ("finish_reason", "usage", "logprobs"))
    choice = {"index": 0, "delta": fields | more, "finish_reason": finish_reason, "logprobs": logprobs}
    return {"object": "chat.completion.chunk", "id": "1", "created": 1, "choices": [choice], "usage": usage}


def test_a_tool_call_is_put_together(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.tool_call = ("weather", ['{"city"', ': "Oslo', '"}'])
    choice = client.chat.completions.create(**body(tools=[WEATHER])).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert choice.message.tool_calls
    (call,) = choice.message.tool_calls
    assert (call.type, call.id[:5]) == ("function", "call_")
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Oslo"})


def test_a_tool_call_is_streamed_in_pieces(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.tool_call = ("weather", ['{"city"', ': "Oslo', '"}'])
    stream = client.chat.completions.create(**body(tools=[WEATHER], tool_choice="required", stream=True))
    choices = [chunk.choices[0] for chunk in stream]
    pieces = [call for choice in choices for call in choice.delta.tool_calls or []]
    assert [piece.id for piece in pieces][1:] == [None, None]
    assert pieces[0].id
    assert "".join((piece.function and piece.function.name) or "" for piece in pieces) == "weather"
    arguments = "".join((piece.function and piece.function.arguments) or "" for piece in pieces)
    assert json.loads(arguments) == {"city": "Oslo"}
    assert choices[-1].finish_reason == "tool_calls"
    assert the_run().ending == "tool_calls"


def test_a_conversation_with_tools_goes_on(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.tool_call = ("weather", ['{"city": "Oslo"}'])
    first = client.chat.completions.create(**body(tools=[WEATHER])).choices[0].message
    assert first.tool_calls
    tgi.script.tool_call = None
    result = {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "4 degrees"}
    messages = [*body()["messages"], first.model_dump(exclude_none=True), result]
    answer = client.chat.completions.create(**body(messages=messages, tools=[WEATHER]))
    assert answer.choices[0].message.content


def test_several_tool_calls_stay_apart(client: OpenAI, vllm: FakeOpenAI, funded: Team) -> None:
    def call(index: int, name: str | None, arguments: str) -> dict[str, Any]:
        identity = {"id": f"c{index}", "type": "function"} if name else {}
        return {"index": index, **identity, "function": {"name": name, "arguments": arguments}}

    vllm.script.replayed = [
        delta(tool_calls=[call(0, "weather", ""), call(1, "time", "{")]),
        delta(tool_calls=[call(1, None, "}"), call(0, None, "[]")]),
        delta(finish_reason="tool_calls"),
    ]
    message = client.chat.completions.create(**body(tools=[WEATHER])).choices[0].message
    assert message.tool_calls
    assert [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls] == [
        ("c0", "weather", "[]"),
        ("c1", "time", "{}"),
    ]


def test_reasoning_comes_apart_from_the_answer_under_both_of_its_names(
    raw: httpx2.Client, vllm: FakeOpenAI, funded: Team
) -> None:
    vllm.script.replayed = [
        delta(reasoning_content="Let me"),
        delta(reasoning=" think."),
        delta("Four."),
        delta(finish_reason="stop", usage={"prompt_tokens": 9, "completion_tokens": 5}),
    ]
    message = raw.post("/v1/chat/completions", json=body()).json()["choices"][0]["message"]
    assert message["content"] == "Four."
    assert message["reasoning"] == message["reasoning_content"] == "Let me think."
    streamed = events(raw.post("/v1/chat/completions", json=body(stream=True)).text)
    deltas = [event["choices"][0]["delta"] for event in streamed]
    for name in ("reasoning", "reasoning_content"):
        assert "".join(each.get(name, "") for each in deltas) == "Let me think."
    assert balance(funded) == DOLLAR - 2 * (9 * INPUT_NANO + 5 * OUTPUT_NANO)


def test_a_refusal_is_passed_on_and_charged(client: OpenAI, vllm: FakeOpenAI, funded: Team) -> None:
    counts = {"prompt_tokens": 9, "completion_tokens": 5}
    vllm.script.replayed = [delta(refusal="I can"), delta(refusal="not."), delta(finish_reason="stop", usage=counts)]
    message = client.chat.completions.create(**body()).choices[0].message
    assert (message.content, message.refusal) == (None, "I cannot.")
    streamed = client.chat.completions.create(**body(stream=True))
    assert "".join(chunk.choices[0].delta.refusal or "" for chunk in streamed) == "I cannot."
    assert balance(funded) == DOLLAR - 2 * (9 * INPUT_NANO + 5 * OUTPUT_NANO)


def test_log_probabilities_are_passed_on(client: OpenAI, vllm: FakeOpenAI, funded: Team) -> None:
    def logprobs(token: str) -> dict[str, Any]:
        return {"content": [{"token": token, "logprob": -0.5, "bytes": None, "top_logprobs": []}]}

    vllm.script.replayed = [
        delta("Four", logprobs=logprobs("Four")),
        # A token that is not yet a character, or that could still become a stop sequence.
        delta(logprobs=logprobs("<0xF0>")),
        delta(".", logprobs=logprobs(".")),
        delta(finish_reason="stop", usage={"prompt_tokens": 9, "completion_tokens": 3}),
    ]
    whole = client.chat.completions.create(**body(logprobs=True)).choices[0]
    assert whole.logprobs
    assert whole.logprobs.content
    assert [token.token for token in whole.logprobs.content] == ["Four", "<0xF0>", "."]
    stream = client.chat.completions.create(**body(logprobs=True, stream=True))
    heard = [chunk.choices[0].logprobs for chunk in stream]
    assert [token.token for each in heard if each for token in each.content or []] == ["Four", "<0xF0>", "."]


def test_an_engine_that_breaks_its_lines_does_not_break_ours(
    raw: httpx2.Client, vllm: FakeOpenAI, funded: Team
) -> None:
    event = b'data: {"choices":[{"index":0,"delta":{"content":"x"},"logprobs":{\ndata: "content":[]\ndata: }}]}\n\n'
    end = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    vllm.script.response = (200, "text/event-stream", event + end)
    streamed = events(raw.post("/v1/chat/completions", json=body(stream=True, logprobs=True)).text)
    assert streamed[1]["choices"][0]["logprobs"] == {"content": []}


def test_cached_tokens_are_told_and_cost_less(client: OpenAI, engines: ExitStack, funded: Team) -> None:
    register(engines.enter_context(FakeLlamaCpp(cached_tokens=3)), Endpoint.Kind.LLAMACPP)
    completion = client.chat.completions.create(**body())
    assert completion.usage
    assert completion.usage.prompt_tokens_details
    assert completion.usage.prompt_tokens_details.cached_tokens == 3
    saved = 3 * (INPUT_NANO - CACHED_NANO)
    assert balance(funded) == DOLLAR - cost_nano(completion.usage.completion_tokens) + saved


def test_an_engine_without_usage_is_counted_by_estimate(client: OpenAI, vllm: FakeOpenAI, funded: Team) -> None:
    vllm.script.replayed = [delta("one two three four"), delta(finish_reason="stop")]
    completion = client.chat.completions.create(**body())
    run = the_run()
    assert run.counting == "estimate"
    assert completion.usage
    assert completion.usage.completion_tokens == run.delivered_tokens == len("one two three four") // 4
    assert run.prompt_tokens > 0


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -1, "completion_tokens": 5},
        {"prompt_tokens": 9, "completion_tokens": 2**40},
        {"prompt_tokens": 2**62, "completion_tokens": 2**62},
    ],
)
def test_counts_that_cannot_be_are_not_charged(
    client: OpenAI, vllm: FakeOpenAI, funded: Team, usage: dict[str, int]
) -> None:
    vllm.script.replayed = [delta("Four."), delta(finish_reason="stop", usage=usage)]
    client.chat.completions.create(**body())
    run = the_run()
    assert (run.counting, run.delivered_tokens) == ("estimate", 1)
    assert 0 < DOLLAR - balance(funded) < 1_000 * INPUT_NANO


def test_tgi_is_asked_to_count_nothing_that_it_has_told(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    client.chat.completions.create(**body())
    assert [request.path for request in tgi.requests] == ["/v1/chat/completions"]
    assert the_run().prompt_tokens == prompt_tokens()
