"""What TGI is asked: everything that it would reject or misread is put right or refused before."""

from typing import Any

import pytest

from inference.chat import Chat
from inference.engines.base import Description, EndpointAddress, Engine
from inference.engines.tgi.engine import TgiEngine
from inference.errors import ContextExceeded, EngineRefused, EngineUnavailable, UnsupportedParameter
from tests.fakes.script import Script
from tests.fakes.tgi import FakeTgi
from tests.fakes.tgi_events import MODEL, error_event
from tests.fakes.tgi_validation import STEP_TOKENS
from tests.inference.clients import engine_for
from tests.inference.engines.conversation import answer, called, chat, final_usage, finish_reasons, text
from tests.patience import eventually

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
PIXEL = "data:image/png;base64,iVBORw0KGgo="
TOOL = {"type": "function", "function": {"name": "weather"}}
# Every parameter that may be null.
NULLABLE = [name for name in Chat.__struct_fields__ if name not in ("model", "messages", "stream")]


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
        ({"top_p": 0}, {"top_p": None, "temperature": 0}),
        ({"top_p": 0, "temperature": 0.7}, {"top_p": None, "temperature": 0}),
        # To 32 bits these are one and zero.
        ({"top_p": 0.99999999}, {"top_p": None}),
        ({"top_p": 1e-50}, {"top_p": None, "temperature": 0}),
        ({"top_p": 0.5, "temperature": 1e-50}, {"top_p": None, "temperature": 0}),
        ({"presence_penalty": 0, "frequency_penalty": 0.5}, {"presence_penalty": None, "frequency_penalty": 0.5}),
        ({"repetition_penalty": 1.5}, {"presence_penalty": -0.5, "repetition_penalty": None}),
        ({"repetition_penalty": 2, "presence_penalty": 0}, {"presence_penalty": 0}),
        ({"top_k": 0, "min_p": 0}, {"top_k": None, "min_p": None}),
        ({"logprobs": True, "top_logprobs": 5}, {"logprobs": True, "top_logprobs": 5}),
        ({"seed": -1}, {"seed": 2**64 - 1}),
        ({"tools": []}, {"tools": None}),
        ({"tools": [], "response_format": {"type": "text"}}, {"tools": None, "response_format": None}),
        ({"tools": [TOOL], "parallel_tool_calls": True}, {"parallel_tool_calls": None}),
        ({"user": "ada", "metadata": {"a": "b"}, "store": False, "n": 1}, {"user": None, "metadata": None, "n": None}),
        ({"logit_bias": {}, "cache_salt": ""}, {"logit_bias": None, "cache_salt": None}),
        (
            dict.fromkeys(NULLABLE),
            dict.fromkeys(NULLABLE) | {"max_tokens": 3, "stream_options": {"include_usage": True}},
        ),
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
    spoken = {"role": "assistant", "content": "I look.", "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
    # Its template would write a text once more as JSON.
    sent_call = call | {"function": {"name": "weather", "arguments": {}}}
    body = await sent({"messages": [{"role": "developer", "content": "be brief"}, echo, result, said, spoken]})
    assert body["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "assistant", "tool_calls": [sent_call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        {"role": "assistant", "content": "yes"},
        # In one message, TGI would drop the calls.
        {"role": "assistant", "content": "I look."},
        {"role": "assistant", "tool_calls": [sent_call]},
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
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"presence_penalty": -1}, "presence_penalty"),
        ({"cache_salt": "s"}, "cache_salt"),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
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
        ({"messages": [{"role": "user", "content": "word " * 5000}]}, "messages", "must be <= 4096"),
        ({"stop": list("abc")}, "stop", "`stop` supports up to 2 stop sequences. Given: 3"),
    ],
)
async def test_a_refusal_inside_the_stream_names_the_parameter(fields: dict[str, Any], param: str, words: str) -> None:
    with FakeTgi(max_stop_sequences=2) as tgi, pytest.raises(EngineRefused) as raised:
        await answer(engine_at(tgi.url), chat(**fields))
    assert raised.value.param == param
    assert words in raised.value.message
    assert "validation error" not in raised.value.message


async def test_a_refusal_of_prompt_and_answer_together_speaks_of_messages_and_max_tokens() -> None:
    with FakeTgi(max_total_tokens=20) as tgi, pytest.raises(ContextExceeded) as raised:
        await answer(engine_at(tgi.url), max_tokens=30)
    assert raised.value.param == "max_tokens"
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


@pytest.mark.parametrize(
    ("stop", "said"),
    [(" fox", "The quick brown"), ([" lazy", "wn fox"], "The quick bro"), (["x"], "The quick brown fo")],
)
async def test_an_answer_is_cut_before_its_stop_sequence(stop: str | list[str], said: str) -> None:
    with FakeTgi() as tgi:
        chunks = await answer(engine_at(tgi.url), chat(stop=stop), max_tokens=10)
        assert tgi.requests[0].closed_at is None
    assert text(chunks) == said
    assert finish_reasons(chunks) == ["stop"]
    usage = final_usage(chunks)
    assert usage is not None
    # TGI ended by itself, and counted the sequence.
    assert usage.completion_tokens == 4


@pytest.mark.parametrize(("stop", "said"), [("wn fo", "The quick bro"), (" br", "The quick"), ("T", "")])
async def test_an_answer_ends_at_a_stop_sequence_inside_a_token_though_tgi_goes_on(stop: str, said: str) -> None:
    with FakeTgi(script=Script(between=0.01)) as tgi:
        chunks = await answer(engine_at(tgi.url), chat(stop=["none", stop]), max_tokens=4000)
        assert text(chunks) == said
        assert finish_reasons(chunks) == ["stop"]
        await eventually(lambda: tgi.requests[0].closed_at)
        assert tgi.requests[0].tokens_sent < 4000


async def test_a_tool_that_is_not_there_cannot_be_chosen() -> None:
    chosen = {"type": "function", "function": {"name": "news"}}
    with FakeTgi() as tgi, pytest.raises(EngineRefused) as raised:
        await answer(engine_at(tgi.url), chat(tools=[TOOL], tool_choice=chosen))
    assert raised.value.param == "tool_choice"
    assert raised.value.message == "Tool with name news not found"


async def test_a_stop_sequence_that_never_comes_takes_nothing_away() -> None:
    with FakeTgi() as tgi:
        chunks = await answer(engine_at(tgi.url), chat(stop=" lazy cat"), max_tokens=8)
    assert text(chunks) == "The quick brown fox jumps over the lazy"


async def test_arguments_that_are_no_object_stay_a_text() -> None:
    calls = [
        {"id": f"call_{number}", "type": "function", "function": {"name": "weather", "arguments": arguments}}
        for number, arguments in enumerate(("[1]", "{oops", '{"a": "\\u00e9"}'))
    ]
    asked = {"role": "assistant", "content": None, "tool_calls": calls}
    body = await sent({"messages": [{"role": "user", "content": "hi"}, asked]})
    assert [call["function"]["arguments"] for call in body["messages"][1]["tool_calls"]] == ["[1]", "{oops", {"a": "é"}]


@pytest.mark.parametrize(("limit", "given"), [(1024, 1024), (1025, 1025), (1500, 1500), (2048, 2048), (3983, 3072)])
async def test_an_answer_has_as_many_tokens_as_were_asked_for(limit: int, given: int) -> None:
    with FakeTgi(script=Script(tokens_per_write=50), most_looked_at=STEP_TOKENS) as tgi:
        chunks = await answer(engine_at(tgi.url), chat(max_tokens=limit))
    assert sum(bool(chunk.content) for chunk in chunks) == given
    assert finish_reasons(chunks) == ["length"]


async def test_tokens_without_text_count_for_the_limit() -> None:
    words = ["a", "", ""] * 600
    with FakeTgi(script=Script(answer=words, tokens_per_write=50)) as tgi:
        chunks = await answer(engine_at(tgi.url), chat(max_tokens=1200))
    assert text(chunks) == "a" * 400
    assert finish_reasons(chunks) == ["length"]


@pytest.mark.parametrize("limit", [None, 3000])
async def test_a_structured_answer_ends_with_its_first_step(limit: int | None) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
    with FakeTgi(script=Script(answer=["{"] * 2000, tokens_per_write=50)) as tgi:
        chunks = await answer(engine_at(tgi.url), chat(response_format=wanted, max_tokens=limit))
    assert text(chunks) == "{" * 1024
    assert finish_reasons(chunks) == ["length"]


async def test_a_tool_call_ends_with_its_first_step() -> None:
    with FakeTgi(script=Script(tool_call=("weather", ["x"] * 2000), tokens_per_write=50)) as tgi:
        chunks = await answer(engine_at(tgi.url), chat(tools=[TOOL]))
    assert finish_reasons(chunks) == ["length"]
    ((name, arguments),) = called(chunks).values()
    assert (name, 900 < len(arguments) < 1024) == ("weather", True)


async def test_a_text_beside_tools_is_as_long_as_it_may_be() -> None:
    with FakeTgi(script=Script(tokens_per_write=50)) as tgi:
        chunks = await answer(engine_at(tgi.url), chat(tools=[TOOL], max_tokens=1500))
    assert (len([chunk for chunk in chunks if chunk.content]), finish_reasons(chunks)) == (1500, ["length"])


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("schema", "arriving"),
    [
        (
            of(a={"$ref": "#/$defs/a"}) | {"$defs": {"a": {"type": "string"}}},
            of(a={"type": "string"}),
        ),
        (
            of(a={"type": ["string", "null"], "maxLength": 3, "description": "A"}),
            of(a={"description": "A", "anyOf": [{"type": "string", "maxLength": 3}, {"type": "null"}]}),
        ),
        (of(a={"type": ["string", "null"], "enum": ["x", None]}), of(a={"enum": ["x", None]})),
        (of(a={"type": ["integer"]}), of(a={"type": "integer"})),
    ],
)
async def test_a_schema_is_written_as_its_compiler_takes_it(schema: dict[str, Any], arriving: dict[str, Any]) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": schema}}
    body = await sent({"tools": [tool]})
    assert body["tools"][0]["function"]["parameters"] == arriving
    wanted = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}}
    assert (await sent({"response_format": wanted}))["response_format"]["value"] == arriving


@pytest.mark.parametrize("schema", [of(a={"$ref": "#"}), of(a={"not": {"type": "null"}})])
async def test_a_schema_that_it_does_not_survive_or_follow_is_refused(schema: dict[str, Any]) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": schema}}
    wanted = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}}
    for fields, param in (
        ({"tools": [tool]}, "tools[0].function.parameters"),
        ({"response_format": wanted}, "response_format.json_schema.schema"),
    ):
        with pytest.raises(UnsupportedParameter) as raised:
            engine_at().check(chat(**fields))
        assert raised.value.param == param


@pytest.mark.parametrize(
    ("said", "fields", "param"),
    [
        ("cannot compile regex from schema: Unsupported", {"tools": [TOOL]}, "tools"),
        ("grammar is not valid: no", {}, "response_format"),
        ("invalid image: The image format could not be determined", {}, "messages"),
        ("base64 encoding is invalid: Invalid padding", {}, "messages"),
        ("image modality is not supported", {}, "messages"),
    ],
)
async def test_a_refused_schema_or_image_is_named(said: str, fields: dict[str, Any], param: str) -> None:
    refusal = error_event(f"Input validation error: {said}")
    script = Script(response=(200, "text/event-stream", refusal))
    with FakeTgi(script=script) as tgi, pytest.raises(EngineRefused) as raised:
        await answer(engine_at(tgi.url), chat(**fields))
    assert (raised.value.param, raised.value.message) == (param, said)
