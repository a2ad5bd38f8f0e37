from contextlib import aclosing
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from inference.chunks import Usage
from inference.engines.base import Description, EndpointAddress, Engine
from inference.errors import (
    ContextExceeded,
    EngineFailed,
    EngineTimeout,
    EngineUnavailable,
    UnsupportedParameter,
)
from tests.fakes.openai_server import FakeLlamaCpp
from tests.fakes.script import Script
from tests.fakes.tgi_events import event
from tests.inference.clients import engine_for
from tests.inference.engines.conversation import answer, chat, final_usage, finish_reasons, stream, text

TOO_LONG = (
    b'{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it",'
    b'"type":"exceed_context_size_error","n_prompt_tokens":5000,"n_ctx":4096}}'
)


def engine_at(server: FakeLlamaCpp, credential: str = "") -> Engine:
    return engine_for(EndpointAddress("llamacpp", server.url, credential, "smol"))


async def test_every_chunk_tells_the_counts_so_far() -> None:
    with FakeLlamaCpp() as server:
        prompt = await engine_at(server).count_prompt(chat())
        assert prompt is not None
        chunks = await answer(engine_at(server))
    assert [c.usage and c.usage.completion_tokens for c in chunks if c.content] == [1, 2, 3, 4]
    assert chunks[1].usage == Usage(prompt, 1, 3)
    assert text(chunks) == "The quick brown fox"
    assert finish_reasons(chunks) == ["stop"]
    usage = final_usage(chunks)
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (prompt, 5)


async def test_a_stopped_answer_has_the_counts_of_what_was_read() -> None:
    with FakeLlamaCpp(script=Script(silent_after=3)) as server:
        counts = []
        async with aclosing(stream(engine_at(server), chat(), None)) as batches:
            async for batch in batches:
                counts += [chunk.usage for chunk in batch if chunk.content]
                if len(counts) == 2:
                    break
    assert counts[-1] is not None
    assert counts[-1].completion_tokens == 2


async def test_a_first_chunk_without_output_does_not_stop_the_clock(settings: Settings) -> None:
    settings.FIRST_TOKEN_SECONDS = 0.2
    with FakeLlamaCpp(script=Script(silent_after=1)) as server, pytest.raises(EngineTimeout):
        await answer(engine_at(server))


async def test_the_request_asks_for_running_counts() -> None:
    with FakeLlamaCpp() as server:
        await answer(engine_at(server), chat(messages=[{"role": "developer", "content": "hi"}], top_k=5), 7)
        body = server.requests[0].json
    assert body == {
        "model": "smol",
        "messages": [{"role": "system", "content": "hi"}],
        "max_tokens": 7,
        "top_k": 5,
        "stream": True,
        "stream_options": {"include_usage": True},
        "timings_per_token": True,
    }


@pytest.mark.parametrize(
    ("given", "arriving"),
    [
        ({"repetition_penalty": 1.1}, {"repeat_penalty": 1.1, "repetition_penalty": None}),
        ({"seed": 7}, {"seed": 7}),
        # To llama.cpp, the largest number of 32 bits means no seed at all.
        ({"seed": -1}, {"seed": 2**32 - 2}),
        ({"seed": 2**32 - 1}, {"seed": 0}),
        (
            {"reasoning_effort": "low", "chat_template_kwargs": {"a": 1}},
            {"chat_template_kwargs": {"reasoning_effort": "low", "a": 1}, "reasoning_effort": None},
        ),
        ({"top_k": 5, "min_p": 0.1, "logit_bias": {"1": 2}}, {"top_k": 5, "min_p": 0.1, "logit_bias": {"1": 2}}),
    ],
)
async def test_a_parameter_arrives_as_llama_cpp_wants_it(given: dict[str, Any], arriving: dict[str, Any]) -> None:
    with FakeLlamaCpp() as server:
        await answer(engine_at(server), chat(**given))
        body = server.requests[0].json
    assert {name: body.get(name) for name in arriving} == arriving
    assert None not in body.values()


def test_what_llama_cpp_would_skip_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedParameter) as raised:
        engine_for(EndpointAddress("llamacpp", "http://localhost")).check(chat(cache_salt="s"))
    assert raised.value.param == "cache_salt"


async def test_text_is_counted() -> None:
    with FakeLlamaCpp() as server:
        assert await engine_at(server).count_text("The quick brown fox.") == 5


async def test_a_server_describes_its_slots() -> None:
    with FakeLlamaCpp(model="smol") as server:
        assert await engine_at(server).describe() == Description("smol", 2048, 4)


async def test_health_and_the_key() -> None:
    with FakeLlamaCpp(api_key="secret") as server:
        assert await engine_at(server, "secret").is_healthy()
        assert not await engine_at(server, "wrong").is_healthy()
        with pytest.raises(EngineUnavailable) as raised:
            await answer(engine_at(server, "wrong"))
    assert "secret" not in raised.value.message


async def test_a_prompt_that_is_too_long_is_the_callers_to_know() -> None:
    with (
        FakeLlamaCpp(script=Script(response=(400, "application/json", TOO_LONG))) as server,
        pytest.raises(ContextExceeded, match=r"exceeds the available context size\Z") as raised,
    ):
        await answer(engine_at(server))
    assert raised.value.param == "messages"


async def test_a_loading_server_is_unavailable() -> None:
    loading = b'{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}'
    with (
        FakeLlamaCpp(script=Script(response=(503, "application/json", loading))) as server,
        pytest.raises(EngineUnavailable),
    ):
        await answer(engine_at(server))


async def test_an_error_inside_the_stream_ends_it() -> None:
    failure = event({"error": {"code": 500, "message": "Invalid input batch.", "type": "server_error"}})
    with FakeLlamaCpp(script=Script(fail_after=3, failure=failure)) as server, pytest.raises(EngineFailed):
        await answer(engine_at(server))


TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


async def test_tools_are_refused_where_the_template_has_no_place_for_them() -> None:
    with FakeLlamaCpp(supports_tools=False) as server:
        with pytest.raises(UnsupportedParameter, match="no place for tools") as refused:
            await answer(engine_at(server), chat(tools=[TOOL]))
        assert refused.value.param == "tools"
        assert not [request for request in server.requests if request.path == "/v1/chat/completions"]
        assert text(await answer(engine_at(server), chat(tools=[TOOL], tool_choice="none"))) == "The quick brown fox"
        assert text(await answer(engine_at(server))) == "The quick brown fox"


@pytest.mark.parametrize("supports_tools", [True, None])
async def test_tools_are_passed_where_the_server_may_have_a_place_for_them(supports_tools: bool | None) -> None:
    with FakeLlamaCpp(supports_tools=supports_tools) as server:
        assert text(await answer(engine_at(server), chat(tools=[TOOL]))) == "The quick brown fox"
        (asked,) = [request for request in server.requests if request.path == "/v1/chat/completions"]
    assert asked.json["tools"] == [TOOL]


async def test_a_server_tells_what_it_reads_and_can_do() -> None:
    with FakeLlamaCpp(supports_tools=True, has_vision=True) as server:
        described = await engine_at(server).describe()
    assert (described.modalities, described.features) == (("text", "image"), ("tools",))
    with FakeLlamaCpp(supports_tools=False, has_vision=False) as server:
        described = await engine_at(server).describe()
    assert (described.modalities, described.features) == (("text",), ())
    with FakeLlamaCpp() as server:
        described = await engine_at(server).describe()
    assert (described.modalities, described.features) == (None, ())


NOT_WHOLE = event(
    {"error": {"code": 500, "message": "The model produced output that does not match the expected x format"}}
)


async def test_a_structured_answer_that_was_cut_ends_with_its_limit() -> None:
    with FakeLlamaCpp(script=Script(fail_after=4, failure=NOT_WHOLE)) as server:
        chunks = await answer(engine_at(server), chat(), max_tokens=3)
        assert (text(chunks), finish_reasons(chunks)) == ("The quick brown", ["length"])
        with pytest.raises(EngineFailed):
            await answer(engine_at(server), chat(), max_tokens=4)


def formatted(pattern: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}}
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


async def test_a_pattern_is_sent_for_the_whole_text() -> None:
    parameters = formatted("[a-z]")["json_schema"]["schema"]
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    with FakeLlamaCpp() as server:
        await answer(engine_at(server), chat(response_format=formatted("[A-Z]{3}"), tools=[tool]))
        sent = server.requests[-1].json
    assert sent["response_format"] == formatted("^.*[A-Z]{3}.*$")
    assert sent["tools"][0]["function"]["parameters"]["properties"]["a"]["pattern"] == "^.*[a-z].*$"


@pytest.mark.parametrize("pattern", ["^(?=a)b$", "^a|b$"])
def test_a_pattern_that_would_be_skipped_is_refused(pattern: str) -> None:
    with pytest.raises(UnsupportedParameter) as raised:
        engine_for(EndpointAddress("llamacpp", "http://localhost")).check(chat(response_format=formatted(pattern)))
    assert raised.value.param == "response_format.json_schema.schema"
