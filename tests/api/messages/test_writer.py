"""The events of a message: in Anthropic's order, one block behind the other."""

import json
from typing import Any

import pytest

from api.messages.request import Asked, parse
from api.messages.writer import MessageWriter
from inference.chunks import Chunk, FunctionDelta, ToolCallDelta, Usage

USAGE = Usage(prompt_tokens=10, completion_tokens=8, cached_tokens=4)


def asked(**fields: Any) -> Asked:
    body = {"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]} | fields
    return parse(json.dumps(body).encode())


THINKING = asked(thinking={"type": "enabled", "budget_tokens": 1024})


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
    call(1, '{"b":', "other"),
    call(0, "1}"),
    call(1, "2}"),
    Chunk(finish_reason="tool_calls"),
]


def written(asked: Asked, chunks: list[Chunk]) -> bytes:
    writer = MessageWriter("r" * 32, asked)
    return writer.opening() + writer.events(chunks) + writer.ending(USAGE)


def events(stream: bytes) -> list[dict[str, Any]]:
    *framed, rest = stream.decode().split("\n\n")
    assert rest == ""
    found = []
    for event in framed:
        name, data = event.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def built(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Build the message as clients do, checking that blocks come one behind the other."""
    message: dict[str, Any] = {}
    open_block: int | None = None
    for event in found:
        if event["type"] == "message_start":
            message = event["message"]
        elif event["type"] == "content_block_start":
            assert open_block is None
            open_block = event["index"]
            assert open_block == len(message["content"])
            message["content"].append(event["content_block"] | {"json": ""})
        elif event["type"] == "content_block_delta":
            assert event["index"] == open_block
            block, delta = message["content"][-1], event["delta"]
            if delta["type"] == "input_json_delta":
                block["json"] += delta["partial_json"]
            else:
                field = delta["type"].removesuffix("_delta")
                block[field] += delta[field]
        elif event["type"] == "content_block_stop":
            assert event["index"] == open_block
            open_block = None
        elif event["type"] == "message_delta":
            message |= event["delta"] | {"usage": event["usage"]}
    assert open_block is None
    for block in message["content"]:
        given = block.pop("json")
        if block["type"] == "tool_use":
            block["input"] = json.loads(given)
    return message


def test_a_message_is_built_of_blocks_one_behind_the_other() -> None:
    found = events(written(THINKING, TALK))
    assert [event["type"] for event in found[:3]] == ["message_start", "ping", "content_block_start"]
    assert [event["type"] for event in found[-2:]] == ["message_delta", "message_stop"]
    message = built(found)
    assert message["content"] == [
        {"type": "thinking", "thinking": "Hmm.", "signature": "r" * 32},
        {"type": "text", "text": "It is four."},
        {"type": "tool_use", "id": "call_0", "name": "weather", "input": {"a": 1}},
        {"type": "tool_use", "id": "call_1", "name": "other", "input": {"b": 2}},
    ]
    assert (message["stop_reason"], message["stop_sequence"]) == ("tool_use", None)
    assert message["usage"] == {
        "input_tokens": 6,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 4,
        "output_tokens": 8,
    }
    assert json.loads(MessageWriter("r" * 32, THINKING).whole(TALK, USAGE)) == message


def test_thoughts_are_told_only_to_who_asked_for_them() -> None:
    assert built(events(written(asked(), TALK)))["content"][0] == {"type": "text", "text": "It is four."}


def test_words_behind_a_call_are_told_behind_it() -> None:
    chunks = [call(0, "{", "weather"), Chunk(content="there"), call(0, "}"), Chunk(finish_reason="tool_calls")]
    assert [block["type"] for block in built(events(written(asked(), chunks)))["content"]] == ["tool_use", "text"]


@pytest.mark.parametrize(
    ("reason", "told"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("tool_calls", "tool_use"), ("content_filter", "refusal")],
)
def test_why_it_ended_is_told_in_anthropics_words(reason: str, told: str) -> None:
    chunks = [Chunk(content="a"), Chunk(finish_reason=reason)]
    assert built(events(written(asked(), chunks)))["stop_reason"] == told
    assert json.loads(MessageWriter("r" * 32, asked()).whole(chunks, USAGE))["stop_reason"] == told


def test_a_call_that_was_cut_short_has_no_arguments() -> None:
    whole = json.loads(MessageWriter("r" * 32, asked()).whole([call(0, '{"a', "weather")], USAGE))
    assert whole["content"] == [{"type": "tool_use", "id": "call_0", "name": "weather", "input": {}}]


def test_a_function_has_the_clients_own_name() -> None:
    long = asked(tools=[{"name": "a.b", "input_schema": {"type": "object"}}])
    (short,) = long.names
    whole = json.loads(MessageWriter("r" * 32, long).whole([call(0, "{}", short)], USAGE))
    assert whole["content"][0]["name"] == "a.b"
