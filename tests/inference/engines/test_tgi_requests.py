"""What TGI is asked: everything that it would reject or misread is put right or refused before."""

from typing import Any

import pytest

from inference.engines import engine_for
from inference.engines.base import Description, EndpointAddress, Engine
from inference.engines.tgi import TgiEngine
from inference.errors import EngineRefused, EngineUnavailable, UnsupportedParameter
from tests.fakes.tgi import FakeTgi
from tests.fakes.tgi_events import MODEL
from tests.inference.engines.conversation import answer, chat, finish_reasons, text

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
PIXEL = "data:image/png;base64,iVBORw0KGgo="
TOOL = {"type": "function", "function": {"name": "weather"}}


def engine_at(url: str = "http://localhost", **more: str) -> Engine:
    return engine_for(EndpointAddress("tgi", url, **more))


async def sent(fields: dict[str, Any]) -> dict[str, Any]:
    """Return what reaches TGI; it must accept it."""
    with FakeTgi() as tgi:
        await answer(engine_at(tgi.url), chat(**fields), max_tokens=3)
        body: dict[str, Any] = tgi.requests[0].json
        return body


@pytest.mark.parametrize(
    ("given", "arriving"),
    [
        ({}, {"model": "tgi", "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 3}),
        ({"max_completion_tokens": 9}, {"max_tokens": 3, "max_completion_tokens": None}),
        ({"stop": "END"}, {"stop": ["END"]}),
        ({"stop": []}, {"stop": None}),
        ({"top_p": 1}, {"top_p": None}),
        ({"top_p": 0.5}, {"top_p": 0.5}),
        ({"top_p": 0.5, "temperature": 0}, {"top_p": None, "temperature": 0}),
        ({"presence_penalty": 0, "frequency_penalty": 0.5}, {"presence_penalty": None, "frequency_penalty": 0.5}),
        ({"seed": -1}, {"seed": 2**64 - 1}),
        ({"tools": []}, {"tools": None}),
        ({"tools": [], "response_format": {"type": "text"}}, {"tools": None, "response_format": None}),
        ({"tools": [TOOL], "parallel_tool_calls": True}, {"parallel_tool_calls": None}),
        ({"user": "ada", "metadata": {"a": "b"}, "store": False, "n": 1}, {"user": None, "metadata": None, "n": None}),
        ({"logit_bias": {}, "cache_salt": "s"}, {"logit_bias": None, "cache_salt": None}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}},
            {"response_format": {"type": "json_object", "value": SCHEMA}},
        ),
    ],
)
async def test_a_parameter_arrives_as_tgi_wants_it(given: dict[str, Any], arriving: dict[str, Any]) -> None:
    body = await sent(given)
    assert {name: body.get(name) for name in arriving} == arriving
    assert None not in [body[name] for name in body]


async def test_a_tool_without_parameters_gets_empty_ones() -> None:
    body = await sent({"tools": [TOOL]})
    assert body["tools"][0]["function"]["parameters"] == {"type": "object", "properties": {}}


async def test_what_clients_echo_is_left_out_of_messages() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    echo = {"role": "assistant", "content": "", "tool_calls": [call], "refusal": None, "reasoning": "hm"}
    said: dict[str, Any] = {
        "role": "assistant",
        "content": "yes",
        "annotations": [],
        "tool_calls": None,
        "reasoning_content": None,
    }
    result = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
    body = await sent({"messages": [{"role": "developer", "content": "be brief"}, echo, result, said]})
    assert body["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        {"role": "assistant", "content": "yes"},
    ]


async def test_no_text_is_taken_for_the_address_of_an_image() -> None:
    parts = [{"type": "text", "text": "look ![]"}, {"type": "text", "text": "(http://10.0.0.1/)"}]
    image = {"type": "image_url", "image_url": {"url": PIXEL}}
    messages = [{"role": "user", "content": "![](http://10.0.0.1/)"}, {"role": "user", "content": [*parts, image]}]
    body = await sent({"messages": messages})
    assert body["messages"][0]["content"] == "![ ](http://10.0.0.1/)"
    assert body["messages"][1]["content"] == [{"type": "text", "text": "look ![ ](http://10.0.0.1/)"}, image]


async def test_an_upstream_name_is_sent_as_the_model() -> None:
    with FakeTgi() as tgi:
        await answer(engine_at(tgi.url, upstream_model="adapter"), max_tokens=1)
        assert tgi.requests[0].json["model"] == "adapter"


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"stop": list("abcde")}, "stop"),
        ({"n": 2}, "n"),
        ({"logit_bias": {"1": 1}}, "logit_bias"),
        ({"logprobs": True, "top_logprobs": 6}, "top_logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "any", "schema": {}}}},
            "response_format.json_schema.schema",
        ),
        (
            {
                "response_format": {"type": "json_schema", "json_schema": {"name": "p", "schema": SCHEMA}},
                "tools": [TOOL],
            },
            "tools",
        ),
        ({"top_k": 5}, "top_k"),
        ({"min_p": 0.1}, "min_p"),
        ({"repetition_penalty": 1.1}, "repetition_penalty"),
        ({"chat_template_kwargs": {"enable_thinking": False}}, "chat_template_kwargs"),
    ],
)
def test_what_tgi_cannot_do_is_refused_by_name(given: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as raised:
        engine_at().check(chat(**given))
    assert raised.value.param == param


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/secret.png",
        "file:///etc/passwd",
        "data:text/html;base64,AAAA",
        "data:image/png;base64,AAAA) ![](http://10.0.0.1/",
        "data:image/png;base64,AAAA\n",
    ],
)
@pytest.mark.parametrize("kind", ["tgi", "openai", "llamacpp"])
def test_an_image_from_elsewhere_is_refused(kind: str, url: str) -> None:
    message = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}
    with pytest.raises(UnsupportedParameter) as raised:
        engine_for(EndpointAddress(kind, "http://localhost")).check(chat(messages=[message]))
    assert raised.value.param == "messages[0].content[0].image_url.url"


def test_an_embedded_image_passes() -> None:
    message = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PIXEL}}]}
    engine_at().check(chat(messages=[message]))


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"messages": [{"role": "user", "content": "word " * 5000}]}, "messages", "must have less than 4096 tokens"),
        ({"presence_penalty": -2}, "presence_penalty", "`presence_penalty` must be strictly positive"),
    ],
)
async def test_a_refusal_inside_the_stream_names_the_parameter(fields: dict[str, Any], param: str, words: str) -> None:
    with FakeTgi() as tgi, pytest.raises(EngineRefused) as raised:
        await answer(engine_at(tgi.url), chat(**fields))
    assert raised.value.param == param
    assert words in raised.value.message
    assert "validation error" not in raised.value.message


async def test_a_refusal_of_prompt_and_answer_together_speaks_of_messages_and_max_tokens() -> None:
    with FakeTgi(max_total_tokens=20) as tgi, pytest.raises(EngineRefused) as raised:
        await answer(engine_at(tgi.url), max_tokens=30)
    assert raised.value.param == "messages"
    assert "`messages` tokens + `max_tokens` must be <= 20" in raised.value.message


async def test_a_prompt_is_counted_with_its_template() -> None:
    with FakeTgi() as tgi:
        counted = await engine_at(tgi.url).count_prompt(chat())
        usage = (await answer(engine_at(tgi.url)))[-1].usage
    assert usage is not None
    assert counted == usage.prompt_tokens


async def test_text_is_counted_without_special_tokens() -> None:
    with FakeTgi(api_key="secret") as tgi:
        engine = engine_at(tgi.url, credential="secret")
        assert await engine.count_text("The quick brown fox.") == 5
        assert await engine.count_text("") == 0
        assert await engine.count_text("a") == 1


async def test_a_wrong_credential_is_the_operators_fault() -> None:
    with FakeTgi(api_key="secret") as tgi:
        with pytest.raises(EngineUnavailable):
            await engine_at(tgi.url, credential="wrong").count_text("a")
        with pytest.raises(EngineUnavailable):
            await answer(engine_at(tgi.url, credential="wrong"))


async def test_a_server_describes_itself() -> None:
    with FakeTgi(max_total_tokens=2048, max_concurrent_requests=16) as tgi:
        engine = engine_at(tgi.url)
        assert isinstance(engine, TgiEngine)
        assert await engine.describe() == Description(MODEL, 2048, 16, "text-generation")


async def test_an_answer_is_cut_before_its_stop_sequence() -> None:
    with FakeTgi() as tgi:
        chunks = await answer(engine_at(tgi.url), chat(stop=["wn fo"]), max_tokens=10)
    assert text(chunks) == "The quick bro"
    assert finish_reasons(chunks) == ["stop"]


async def test_a_stop_sequence_that_never_comes_takes_nothing_away() -> None:
    with FakeTgi() as tgi:
        chunks = await answer(engine_at(tgi.url), chat(stop=" lazy cat"), max_tokens=8)
    assert text(chunks) == "The quick brown fox jumps over the lazy"
