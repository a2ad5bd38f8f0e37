"""The events of a response: in OpenAI's order, numbered, and the same however their chunks arrive."""

import json
from typing import Any

import pytest

from api.responses.request import Asked, parse, understand
from api.responses.writer import ResponseWriter
from core.errors import Failure
from inference.chunks import Chunk, FunctionDelta, ToolCallDelta, Usage
from web.errors import Problem

USAGE = Usage(prompt_tokens=10, completion_tokens=8, cached_tokens=4)


def asked(**fields: Any) -> Asked:
    return understand(parse(json.dumps({"model": "m", "input": "hi"} | fields).encode()), [])


def call(index: int, arguments: str | None, name: str | None = None) -> Chunk:
    identity = f"call_{index}" if name else None
    return Chunk(tool_calls=(ToolCallDelta(index, identity, name and "function", FunctionDelta(name, arguments)),))


TALK = [
    Chunk(reasoning="Hm"),
    Chunk(reasoning="m."),
    Chunk(content="It is "),
    Chunk(content="four."),
    call(0, "", "weather"),
    call(0, '{"a":'),
    call(0, "1}"),
    call(1, '{"input": "l', "patch"),
    call(1, 's"}'),
    Chunk(finish_reason="tool_calls"),
]
TOOLS = [{"type": "function", "name": "weather"}, {"type": "custom", "name": "patch"}]


def written(
    asked: Asked, chunks: list[Chunk], failure: Failure | None = None, *, after: int = -1, by: int = 1
) -> bytes:
    writer = ResponseWriter("r" * 32, 1_700_000_000, asked, after=after)
    batches = [chunks[start : start + by] for start in range(0, len(chunks), by)]
    return b"".join([writer.opening(), *map(writer.events, batches), _ended(writer, failure)])


def _ended(writer: ResponseWriter, failure: Failure | None) -> bytes:
    return writer.failure(Problem.of(failure), USAGE) if failure else writer.ending(USAGE)


def events(stream: bytes) -> list[dict[str, Any]]:
    *framed, rest = stream.decode().split("\n\n")
    assert rest == ""
    found = []
    for event in framed:
        name, data = event.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def test_the_events_come_in_openais_order() -> None:
    found = events(written(asked(tools=TOOLS), TALK))
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    names = [event["type"].removeprefix("response.") for event in found]
    assert names == [
        *("created", "in_progress"),
        *("output_item.added", "content_part.added", "reasoning_text.delta", "reasoning_text.delta"),
        *("reasoning_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "function_call_arguments.delta", "function_call_arguments.delta"),
        *("output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.delta"),
        *("function_call_arguments.done", "output_item.done", "custom_tool_call_input.done", "output_item.done"),
        "completed",
    ]
    done = {event["output_index"]: event["item"] for event in found if event["type"].endswith("item.done")}
    final = found[-1]["response"]
    assert final["output"] == [done[place] for place in range(4)]
    thought, message, function, custom = final["output"]
    assert thought["content"] == [{"type": "reasoning_text", "text": "Hmm."}]
    assert message["content"] == [{"type": "output_text", "text": "It is four.", "annotations": [], "logprobs": []}]
    assert (function["call_id"], function["name"], function["arguments"]) == ("call_0", "weather", '{"a":1}')
    assert (custom["call_id"], custom["name"], custom["input"]) == ("call_1", "patch", "ls")
    assert {item["status"] for item in final["output"]} == {"completed"}
    assert final["usage"]["output_tokens_details"] == {"reasoning_tokens": 1}
    assert final["usage"]["total_tokens"] == 18
    assert final["usage"]["input_tokens_details"] == {"cached_tokens": 4}


def test_each_delta_follows_its_item_and_names_it() -> None:
    added: dict[int, dict[str, Any]] = {}
    for event in events(written(asked(tools=TOOLS), TALK)):
        if event["type"] == "response.output_item.added":
            assert event["item"]["status"] == "in_progress"
            added[event["output_index"]] = event["item"]
        elif "item_id" in event:
            assert added[event["output_index"]]["id"] == event["item_id"]
    assert added[0]["content"] == added[1]["content"] == []


def test_a_thought_is_a_summary_where_one_was_asked_for() -> None:
    found = events(written(asked(reasoning={"summary": "auto"}), TALK[:4]))
    names = [event["type"].removeprefix("response.") for event in found]
    assert names[2:9] == [
        *("output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta"),
        *("reasoning_summary_text.delta", "reasoning_summary_text.done", "reasoning_summary_part.done"),
        "output_item.done",
    ]
    assert found[8]["item"]["summary"] == [{"type": "summary_text", "text": "Hmm."}]
    assert "content" not in found[8]["item"]


@pytest.mark.parametrize("by", [1, 2, 3, 100])
def test_the_bytes_do_not_depend_on_how_the_chunks_arrive(by: int) -> None:
    assert written(asked(tools=TOOLS), TALK, by=by) == written(asked(tools=TOOLS), TALK)


def test_what_is_taken_up_again_goes_on_where_it_was_left() -> None:
    whole = written(asked(tools=TOOLS), TALK)
    framed = [event + b"\n\n" for event in whole.split(b"\n\n")[:-1]]
    for after in range(-1, len(framed)):
        assert b"".join(framed[: after + 1]) + written(asked(tools=TOOLS), TALK, after=after) == whole


@pytest.mark.parametrize(("reason", "details"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_answer_that_was_cut_short_is_incomplete(reason: str, details: str) -> None:
    found = events(written(asked(), [Chunk(content="a"), Chunk(finish_reason=reason)]))[-1]
    assert (found["type"], found["response"]["status"]) == ("response.incomplete", "incomplete")
    assert found["response"]["incomplete_details"] == {"reason": details}
    assert found["response"]["output"][0]["status"] == "incomplete"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("context_length_exceeded", "context_length_exceeded"),
        ("insufficient_quota", "insufficient_quota"),
        ("engine_overloaded", "server_is_overloaded"),
        ("server_error", "server_error"),
        ("engine_timeout", "server_error"),
    ],
)
def test_a_failure_is_told_by_openais_code(code: str, told: str) -> None:
    found = events(written(asked(), [Chunk(content="a")], Failure(code, "Sorry")))[-1]
    assert (found["type"], found["response"]["status"]) == ("response.failed", "failed")
    assert found["response"]["error"] == {"code": told, "message": "Sorry"}


def test_a_whole_response_is_the_same_as_a_streamed_one() -> None:
    streamed = events(written(asked(tools=TOOLS), TALK))[-1]["response"]
    whole = ResponseWriter("r" * 32, 1_700_000_000, asked(tools=TOOLS)).whole(TALK, USAGE)
    assert json.loads(whole) == streamed
    writer = ResponseWriter("r" * 32, 1_700_000_000, asked())
    writer.is_stopped = True
    stopped = writer.response(TALK[:3], USAGE)
    assert (stopped["status"], stopped["output"][1]["status"]) == ("cancelled", "incomplete")


def test_log_probabilities_ride_on_their_text() -> None:
    import msgspec

    told = [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]
    chunk = Chunk(content="a", logprobs=msgspec.Raw(msgspec.json.encode({"content": told})))
    found = events(written(asked(), [chunk]))
    assert [event["logprobs"] for event in found if event["type"] == "response.output_text.delta"] == [told]
    assert found[-1]["response"]["output"][0]["content"][0]["logprobs"] == told
