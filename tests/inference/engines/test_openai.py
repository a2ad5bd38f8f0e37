from typing import Any

import pytest

from inference.chunks import Usage
from inference.engines.base import Description, EndpointAddress, Engine
from inference.errors import (
    ContextExceeded,
    EngineError,
    EngineFailed,
    EngineOverloaded,
    EngineRefused,
    EngineUnavailable,
    UnsupportedParameter,
)
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.script import Script
from tests.fakes.tgi_events import event
from tests.inference.clients import engine_for
from tests.inference.engines.conversation import answer, called, chat, final_usage, finish_reasons, text
from tests.inference.scenes import asked


def engine_at(server: FakeOpenAI, *, path: str = "", credential: str = "") -> Engine:
    return engine_for(EndpointAddress("openai", server.url + path, credential, "org/model"))


def replaying(*deltas: dict[str, Any], finish_reason: str = "stop", **more: Any) -> Script:
    """Return a script that plays these deltas and then the finish reason."""
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": finish_reason})
    return Script(replayed=[{"choices": [choice]} | more for choice in choices])


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
async def test_an_answer_comes_with_its_usage(path: str) -> None:
    with FakeOpenAI(api_key="secret") as server:
        chunks = await answer(engine_at(server, path=path, credential="secret"))
    assert text(chunks) == "The quick brown fox"
    assert finish_reasons(chunks) == ["stop"]
    assert final_usage(chunks) == Usage(8, 4)


async def test_extensions_are_passed_on_and_fields_without_effect_are_not() -> None:
    wanted = chat(top_k=5, chat_template_kwargs={"enable_thinking": False}, user="ada", stop="END", max_tokens=9)
    with FakeOpenAI() as server:
        await answer(engine_at(server), wanted)
        assert asked(server)[0].json == {
            "model": "org/model",
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": 9,
            "stop": "END",
            "stream": True,
            "stream_options": {"include_usage": True},
            "top_k": 5,
            "chat_template_kwargs": {"enable_thinking": False},
        }


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
async def test_reasoning_comes_under_either_name(field: str) -> None:
    with FakeOpenAI(script=replaying({field: "hm"}, {"content": "yes"})) as server:
        chunks = await answer(engine_at(server))
    assert [(chunk.reasoning, chunk.content) for chunk in chunks[:2]] == [("hm", None), (None, "yes")]


async def test_parallel_tool_calls_keep_their_ids() -> None:
    def call(index: int, **more: Any) -> dict[str, Any]:
        return {"tool_calls": [{"index": index, "function": more.pop("function")} | more]}

    script = replaying(
        call(0, id="a", type="function", function={"name": "one", "arguments": ""}),
        call(0, function={"arguments": "{}"}),
        call(1, id="b", type="function", function={"name": "two", "arguments": "[]"}),
        finish_reason="tool_calls",
    )
    with FakeOpenAI(script=script) as server:
        chunks = await answer(engine_at(server))
    assert called(chunks) == {0: ("one", "{}"), 1: ("two", "[]")}
    assert [call.id for chunk in chunks for call in chunk.tool_calls] == ["a", None, "b"]
    assert finish_reasons(chunks) == ["tool_calls"]


async def test_usage_may_ride_on_any_chunk() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    with FakeOpenAI(script=replaying({"content": "a"}, usage=usage)) as server:
        assert (await answer(engine_at(server)))[0].usage == Usage(5, 2, 4)


async def test_logprobs_are_passed_on_as_they_are() -> None:
    logprobs = {"content": [{"token": "a", "logprob": -0.5, "top_logprobs": []}]}
    choices = [{"index": 0, "delta": {"content": "a"}, "logprobs": logprobs, "finish_reason": "stop"}]
    with FakeOpenAI(script=Script(replayed=[{"choices": choices}])) as server:
        (chunk,) = await answer(engine_at(server), chat(logprobs=True))
    assert bytes(chunk.logprobs or b"") == b'{"content":[{"token":"a","logprob":-0.5,"top_logprobs":[]}]}'


async def test_an_aborted_answer_is_no_answer() -> None:
    with FakeOpenAI(script=replaying({"content": "a"}, finish_reason="abort")) as server, pytest.raises(EngineFailed):
        await answer(engine_at(server))


@pytest.mark.parametrize(("code", "error"), [(400, EngineRefused), (500, EngineFailed), (None, EngineFailed)])
async def test_an_error_in_the_stream_is_one(code: int | None, error: type[Exception]) -> None:
    failure = event({"error": {"message": "no", "code": code}})
    with FakeOpenAI(script=Script(fail_after=0, failure=failure)) as server, pytest.raises(error):
        await answer(engine_at(server))


async def test_a_refusal_keeps_its_parameter() -> None:
    body = b'{"error":{"message":"too hot","type":"BadRequestError","param":"temperature","code":400}}'
    with (
        FakeOpenAI(script=Script(response=(400, "application/json", body))) as server,
        pytest.raises(EngineRefused) as raised,
    ):
        await answer(engine_at(server))
    assert (raised.value.message, raised.value.param) == ("too hot", "temperature")


async def test_there_is_nothing_to_count_with() -> None:
    with FakeOpenAI() as server:
        assert await engine_at(server).count_prompt(chat()) is None
        assert await engine_at(server).count_text("hello") is None


@pytest.mark.parametrize("owner", ["vllm", "sglang"])
async def test_a_server_that_can_count_as_it_goes_is_asked_to(owner: str) -> None:
    with FakeOpenAI(owned_by=owner) as server:
        engine = engine_at(server)
        for _ in range(2):
            chunks = await answer(engine)
            counts = [(c.content, c.usage.completion_tokens) for c in chunks if c.content and c.usage]
            assert counts == [("The", 1), (" quick", 2), (" brown", 3), (" fox", 4)]
            assert final_usage(chunks) == Usage(8, 4)
        assert [request.path for request in server.requests].count("/v1/models") == 1
        assert await engine.count_text("The quick brown fox.") == 5


async def test_a_server_that_nobody_knows_is_asked_for_nothing_of_its_own() -> None:
    with FakeOpenAI() as server:
        for _ in range(2):
            assert text(await answer(engine_at(server))) == "The quick brown fox"
        assert [request.path for request in server.requests].count("/v1/models") == 1
        assert asked(server)[0].json["stream_options"] == {"include_usage": True}


async def test_vllm_counts_a_prompt_with_its_tools() -> None:
    tool = {"type": "function", "function": {"name": "weather"}}
    kwargs = {"enable_thinking": False}
    with FakeOpenAI(owned_by="vllm") as server:
        engine = engine_at(server)
        assert await engine.count_prompt(chat(tools=[tool], chat_template_kwargs=kwargs, temperature=1)) == 8
        question = server.requests[-1].json
    assert sorted(question) == ["chat_template_kwargs", "messages", "model", "tools"]
    assert question["model"] == "org/model"


async def test_sglang_has_no_word_for_counting_a_prompt() -> None:
    with FakeOpenAI(owned_by="sglang") as server:
        assert await engine_at(server).count_prompt(chat()) is None


async def test_a_proxy_that_lets_nobody_count_is_not_an_error() -> None:
    with FakeOpenAI(owned_by="vllm") as server:
        engine = engine_at(server)
        await engine.describe()
        server.owned_by = ""
        assert await engine.count_text("hello") is None


async def test_a_server_that_took_anothers_place_is_met_anew() -> None:
    with FakeOpenAI(owned_by="vllm") as server:
        engine = engine_at(server)
        await answer(engine)
        server.owned_by = ""
        with pytest.raises(EngineRefused):
            await answer(engine)
        assert text(await answer(engine)) == "The quick brown fox"


async def test_a_server_without_a_list_of_models_answers_all_the_same() -> None:
    with FakeOpenAI(has_models=False) as server:
        for _ in range(2):
            assert text(await answer(engine_at(server))) == "The quick brown fox"
        assert [request.path for request in server.requests].count("/v1/models") == 1


async def test_tool_calls_that_are_all_numbered_zero_stay_apart() -> None:
    def call(**more: Any) -> dict[str, Any]:
        return {"tool_calls": [{"index": None, "type": "function"} | more]}

    script = replaying(
        call(id="a", function={"name": "one", "arguments": "{"}),
        # The id again with every piece, as some servers do.
        call(id="a", function={"name": None, "arguments": "}"}),
        call(id="b", function={"name": "one", "arguments": "[]"}),
        finish_reason="tool_calls",
    )
    with FakeOpenAI(script=script) as server:
        chunks = await answer(engine_at(server))
    assert called(chunks) == {0: ("one", "{}"), 1: ("one", "[]")}
    assert [call.id for chunk in chunks for call in chunk.tool_calls] == ["a", None, "b"]


@pytest.mark.parametrize("given", ["", None])
async def test_a_tool_call_without_an_id_gets_one(given: str | None) -> None:
    script = replaying({"tool_calls": [{"index": 0, "id": given, "function": {"name": "one", "arguments": "{}"}}]})
    with FakeOpenAI(script=script) as server:
        (call,) = (await answer(engine_at(server)))[0].tool_calls
    assert call.id
    assert call.id.startswith("call_")


async def test_null_is_as_good_as_nothing() -> None:
    usage = {"prompt_tokens": None, "completion_tokens": None, "prompt_tokens_details": None}
    nothing = {"role": "assistant", "content": None, "tool_calls": None, "reasoning": None}
    script = replaying(nothing, {"content": "yes"}, usage=usage, timings=None, error=None, message=None, code=None)
    with FakeOpenAI(script=script) as server:
        assert text(await answer(engine_at(server))) == "yes"


async def test_an_event_without_anything_is_no_answer() -> None:
    script = Script(fail_after=0, failure=event({"choices": None}))
    with FakeOpenAI(script=script) as server, pytest.raises(EngineFailed):
        await answer(engine_at(server))


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        ({"error": {"message": "no", "type": "BadRequestError", "code": 400}}, EngineRefused),
        ({"object": "error", "message": "no", "type": "BadRequestError", "code": 400}, EngineRefused),
        ({"object": "error", "message": "busy", "type": "overloaded", "code": 429}, EngineOverloaded),
        ({"error": {"message": "no", "type": "invalid_request_error", "code": "too_long"}}, EngineRefused),
        ({"error": {"message": "busy", "type": "rate_limit_error"}}, EngineOverloaded),
        ({"error": {"message": "gone", "code": "502"}}, EngineUnavailable),
        ({"error": {"message": "no", "code": "4" * 5_000}}, EngineFailed),
        ({"error": "no idea"}, EngineFailed),
        ({"error": ["no idea"]}, EngineFailed),
    ],
)
async def test_an_error_in_the_stream_tells_its_kind_in_any_shape(failure: Any, error: type[EngineError]) -> None:
    with FakeOpenAI(script=Script(fail_after=0, failure=event(failure))) as server, pytest.raises(error) as raised:
        await answer(engine_at(server))
    assert type(raised.value) is error


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b'{"object":"error","message":"too hot","type":"BadRequestError","param":"temperature"}', EngineRefused),
        (400, b'{"error":{"message":"no provider","type":"x","code":"model_not_supported"}}', EngineUnavailable),
        (404, b'{"error":{"message":"The model `x` does not exist.","code":404}}', EngineUnavailable),
        (402, b'{"error":"You have exceeded your monthly included credits"}', EngineUnavailable),
        (429, b'{"error":{"message":"slow down","code":"rate_limit_exceeded"}}', EngineOverloaded),
        (422, b'{"detail":[{"loc":["body","stop"],"msg":"wrong","type":"value_error"}]}', EngineRefused),
        (413, b"length limit exceeded", EngineRefused),
        (
            400,
            b'{"message":"The input (9 tokens) is longer than the model\'s context length (8 tokens)."}',
            ContextExceeded,
        ),
        (502, b"<html>Bad Gateway</html>", EngineUnavailable),
        (400, b"[" * 60_000, EngineRefused),
    ],
)
async def test_a_response_that_is_no_success_tells_whose_fault_it_is(
    status: int, body: bytes, error: type[EngineError]
) -> None:
    with (
        FakeOpenAI(script=Script(response=(status, "application/json", body))) as server,
        pytest.raises(error) as raised,
    ):
        await answer(engine_at(server))
    assert type(raised.value) is error


async def test_the_list_of_models_describes_and_tells_health() -> None:
    with FakeOpenAI(api_key="secret") as server:
        assert await engine_at(server, credential="secret").describe() == Description("org/model", 8192)
        assert await engine_at(server, credential="secret").is_healthy()
        assert not await engine_at(server).is_healthy()
        with pytest.raises(EngineUnavailable):
            await engine_at(server).describe()


def test_several_choices_are_refused() -> None:
    with pytest.raises(UnsupportedParameter):
        engine_for(EndpointAddress("openai", "http://localhost")).check(chat(n=2))
