"""What TGI answers: its tool calls, its errors and the recordings of its own integration tests."""

import json

import pytest

from inference.chunks import Usage
from inference.engines.base import EndpointAddress, Engine
from inference.errors import EngineError, EngineFailed, EngineOverloaded, EngineRefused
from tests.fakes.recordings import FOLDER, recorded
from tests.fakes.script import Script
from tests.fakes.tgi import FakeTgi
from tests.fakes.tgi_events import DONE, chunk, error_event, tool_events
from tests.inference.clients import engine_for
from tests.inference.engines.conversation import answer, called, chat, final_usage, finish_reasons, text


def engine_at(tgi: FakeTgi) -> Engine:
    return engine_for(EndpointAddress("tgi", tgi.url))


@pytest.mark.parametrize("done", [True, False])
async def test_a_streamed_tool_call_is_put_in_openais_shape(done: bool) -> None:
    with FakeTgi(script=Script(tool_call=("weather", ["{", '"city":', '"Paris"}']), done=done)) as tgi:
        chunks = await answer(engine_at(tgi))
    assert called(chunks) == {0: ("weather", '{"city":"Paris"}')}
    assert finish_reasons(chunks) == ["tool_calls"]
    first, *others = [call for chunk in chunks for call in chunk.tool_calls]
    assert first.type == "function"
    assert first.id is not None
    assert first.id.startswith("call_")
    assert [(other.id, other.type, other.function and other.function.name) for other in others] == [(None,) * 3] * 2


@pytest.mark.parametrize(("finish_reason", "told"), [("length", "length"), ("stop", "tool_calls")])
async def test_a_tool_call_that_ends_with_a_reason_keeps_its_meaning(finish_reason: str, told: str) -> None:
    *most, last = tool_events("weather", ["{", '"city":'])
    last = last.replace(b'"finish_reason":null', b'"finish_reason":"%b"' % finish_reason.encode())
    with FakeTgi(script=Script(response=(200, "text/event-stream", b"".join([*most, last, DONE])))) as tgi:
        assert finish_reasons(await answer(engine_at(tgi))) == [told]


async def test_a_tool_call_that_ended_before_its_name_was_too_long() -> None:
    # All that TGI sends then: it keeps everything to itself until the name is there.
    counts = chunk(None, usage={"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13})
    with FakeTgi(script=Script(response=(200, "text/event-stream", counts + DONE))) as tgi:
        chunks = await answer(engine_at(tgi))
    assert finish_reasons(chunks) == ["length"]
    assert final_usage(chunks) == Usage(9, 4)


async def test_log_probabilities_have_the_bytes_of_each_token() -> None:
    with FakeTgi(script=Script(answer=["Sch", "ön", "\ufffd"])) as tgi:
        chunks = await answer(engine_at(tgi), chat(logprobs=True, top_logprobs=1))
    tokens = [token for each in chunks if each.logprobs for token in json.loads(bytes(each.logprobs))["content"]]
    assert [token["bytes"] for token in tokens] == [[83, 99, 104], [195, 182, 110], None, []]
    assert tokens[1] == {
        "token": "ön",
        "logprob": -0.5,
        "bytes": [195, 182, 110],
        "top_logprobs": [{"token": "ön", "logprob": -0.5, "bytes": [195, 182, 110]}],
    }


async def test_a_second_pass_is_counted_alone() -> None:
    # Streamed, as TGI is always asked: a whole answer would carry the counts of the pass that was thrown away.
    tool = {"type": "function", "function": {"name": "weather"}}
    with FakeTgi() as tgi:
        chunks = await answer(engine_at(tgi), chat(tools=[tool], tool_choice="auto"), max_tokens=4)
        assert tgi.requests[0].json["stream"] is True
    usage = final_usage(chunks)
    assert usage is not None
    assert usage.completion_tokens == sum(bool(each.content) for each in chunks) == 4


async def test_two_tool_calls_have_two_ids() -> None:
    with FakeTgi(script=Script(tool_call=("weather", ["{}"]))) as tgi:
        ids = [(await answer(engine_at(tgi)))[0].tool_calls[0].id for _ in range(2)]
    assert len(set(ids)) == 2


async def test_an_overloaded_engine_is_one_before_the_first_token() -> None:
    with FakeTgi(script=Script(overloaded=True)) as tgi, pytest.raises(EngineOverloaded):
        await answer(engine_at(tgi))


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("Model is overloaded", EngineOverloaded),
        ("Input validation error: `inputs` cannot be empty", EngineRefused),
        ("Request failed during generation: CUDA error", EngineFailed),
        ("Incomplete generation stream", EngineFailed),
        ("something new", EngineFailed),
    ],
)
async def test_an_error_in_the_stream_tells_its_kind_by_its_beginning(message: str, error: type[EngineError]) -> None:
    body = error_event(message) + DONE
    with FakeTgi(script=Script(response=(200, "text/event-stream", body))) as tgi, pytest.raises(error) as raised:
        await answer(engine_at(tgi))
    assert type(raised.value) is error
    assert "CUDA" not in raised.value.message


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        (
            b"Failed to deserialize the JSON body into the target type: messages[0].role: invalid type: integer `1`, "
            b"expected a string at line 1 column 42",
            "invalid type: integer `1`, expected a string",
            "messages[0].role",
        ),
        (
            b'{"error":"Template error: Conversation roles must alternate","error_type":"template_error"}',
            "Conversation roles must alternate",
            "messages",
        ),
        (
            b'{"error":"Input validation error: `top_n_tokens` must be >= 0 and <= 5. Given: 9",'
            b'"error_type":"validation"}',
            "`top_logprobs` must be >= 0 and <= 5. Given: 9",
            "top_logprobs",
        ),
        (
            b'{"error":"Input validation error: `inputs` must have less than 4095 tokens. Given: 6001",'
            b'"error_type":"validation"}',
            "This model's maximum context length is 4095 tokens. However, your messages resulted in 6001 tokens. "
            "Please reduce the length of the messages. (context_length_exceeded: `messages` must have less than 4095 "
            "tokens. Given: 6001)",
            "messages",
        ),
        (
            b'{"error":"Input validation error: grammar is not valid: no `properties`","error_type":"validation"}',
            "grammar is not valid: no `properties`",
            "response_format",
        ),
        (b'{"error":"See http://10.0.0.5:80/docs","error_type":"validation"}', "See …", None),
        (b"x" * 10_000, "x" * 500, None),
    ],
)
async def test_a_refusal_is_told_in_openais_words(body: bytes, message: str, param: str | None) -> None:
    with FakeTgi(script=Script(response=(422, "text/plain", body))) as tgi, pytest.raises(EngineRefused) as raised:
        await answer(engine_at(tgi))
    assert (raised.value.message, raised.value.param) == (message, param)


# The streams of chat completions among the recordings: how the text begins, its length, finish reason, usage, call.
WEATHER = '{ "location": "Brooklyn, NY", "format": "fahrenheit"}'
STREAMS: dict[str, tuple[str, str, Usage | None, str | None]] = {
    "completion_prompts_test_chat_hfhub_usage": ("OK!", "stop", Usage(39, 3), None),
    "completion_prompts_test_chat_openai_nousage": ("OK!", "stop", None, None),
    "completion_prompts_test_chat_openai_usage": ("OK!", "stop", Usage(39, 3), None),
    "completion_prompts_test_flash_llama_completion_stream_usage": ("**Deep Learning", "length", Usage(40, 10), None),
    "flash_qwen2_vl_test_flash_qwen2_vl_simple_streaming": ("", "stop", None, None),
    "json_schema_constrain_test_json_schema_stream": ('{"firstName', "stop", None, None),
    "tools_llama_test_flash_llama_grammar_tools_choice_stream": ("", "tool_calls", None, WEATHER),
    "tools_llama_test_flash_llama_grammar_tools_insufficient_information_stream": ("I'm an", "length", None, None),
    "tools_llama_test_flash_llama_grammar_tools_openai": ("", "tool_calls", None, WEATHER),
    "tools_llama_test_flash_llama_grammar_tools_sea_creatures_stream_none": ("Once upon", "length", None, None),
}


@pytest.mark.parametrize("name", STREAMS)
async def test_a_recorded_stream_is_read(name: str) -> None:
    begins, finish_reason, usage, arguments = STREAMS[name]
    with FakeTgi() as tgi:
        tgi.replay(recorded(name))
        chunks = await answer(engine_at(tgi))
    said = "".join(c["delta"].get("content") or "" for chunk in recorded(name) for c in chunk["choices"])
    assert text(chunks) == said
    assert said.startswith(begins)
    assert finish_reasons(chunks) == [finish_reason]
    assert final_usage(chunks) == usage
    assert called(chunks) == ({0: ("get_current_weather", arguments)} if arguments else {})


def test_no_recorded_stream_is_forgotten() -> None:
    recorded(next(iter(STREAMS)))
    streams = {
        path.stem.removeprefix("test_")
        for path in FOLDER.glob("*.json")
        if '"chat.completion.chunk"' in path.read_text()
    }
    assert streams == set(STREAMS)
