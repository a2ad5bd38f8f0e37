"""Requests to /v1/messages are understood as the chats that they are."""

import json
from typing import Any

import pytest

from api.messages.request import Asked, parse
from inference.chat import Chat
from inference.errors import InvalidRequest
from web.chat import parse as parse_chat

TOOL = {"name": "weather", "description": "d", "input_schema": {"type": "object"}}
HI = {"role": "user", "content": "hi"}


def asked(**fields: Any) -> Asked:
    return parse(json.dumps({"model": "m", "max_tokens": 10, "messages": [HI]} | fields).encode())


def chat(**fields: Any) -> Chat:
    return parse_chat(json.dumps({"model": "m", "max_tokens": 10, "messages": [HI]} | fields).encode())


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **more}


def test_a_plain_request_is_a_chat() -> None:
    found = asked(temperature=0.5, top_p=0.9, top_k=5, stop_sequences=["END"], stream=True, metadata={"user_id": "u"})
    assert found.chat == chat(temperature=0.5, top_p=0.9, top_k=5, stop=["END"], stream=True, user="u")
    assert found.ignored == ()
    assert not found.shows_thoughts


def test_what_claude_code_sends_besides_is_left_out_and_named() -> None:
    found = asked(
        system=[
            text("x-anthropic-billing-header: cc_version=2.1.38.d2e; cch=a3f1c;"),
            text("You are Claude Code.", cache_control={"type": "ephemeral", "ttl": "1h", "scope": {"a": "b"}}),
            text("Be brief."),
        ],
        messages=[{"role": "user", "content": [text("hi", cache_control={"type": "ephemeral"})]}],
        thinking={"type": "adaptive"},
        output_config={"effort": "medium"},
        context_management={"edits": []},
        metadata={"user_id": "u"},
        betas=["x"],
        tools=[
            TOOL | {"cache_control": {}, "eager_input_streaming": True},
            {"type": "web_search_20250305", "name": "web_search"},
        ],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
    )
    function = {"name": "weather", "description": "d", "parameters": {"type": "object"}}
    assert found.chat == chat(
        messages=[{"role": "system", "content": "You are Claude Code.\n\nBe brief."}, HI],
        user="u",
        tools=[{"type": "function", "function": function}],
        tool_choice="auto",
        parallel_tool_calls=False,
    )
    assert set(found.ignored) == {
        *("betas", "context_management", "thinking", "output_config.effort", "system[0]", "tools[1]")
    }
    assert found.shows_thoughts


def test_what_changes_with_each_request_does_not_change_the_prompt() -> None:
    def system(line: str) -> Chat:
        return asked(system=f"x-anthropic-billing-header: {line}\nYou are Claude Code.").chat

    assert system("cch=1;") == system("cch=2;") == asked(system="You are Claude Code.").chat


def test_systems_among_the_messages_go_first() -> None:
    found = asked(
        system="one", messages=[HI, {"role": "system", "content": [text("two")]}, {"role": "user", "content": "x"}]
    )
    assert found.chat == chat(
        messages=[{"role": "system", "content": "one\n\ntwo"}, HI, {"role": "user", "content": "x"}]
    )


def test_a_turn_with_tools_is_told_as_in_a_chat() -> None:
    found = asked(
        messages=[
            HI,
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "x"},
                    {"type": "redacted_thinking", "data": "x"},
                    text("I look."),
                    {"type": "tool_use", "id": "t1", "name": "weather", "input": {"a": 1}},
                    {"type": "tool_use", "id": "t2", "name": "weather", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": "4"},
                    {"type": "tool_result", "tool_use_id": "t2", "content": [text("no such city")], "is_error": True},
                    text("and?"),
                    text("say"),
                ],
            },
        ]
    )
    calls = [
        {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"a":1}'}},
        {"id": "t2", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
    ]
    assert found.chat == chat(
        messages=[
            HI,
            {
                "role": "assistant",
                "content": "I look.",
                "tool_calls": calls,
                "reasoning": "hm",
                "reasoning_content": "hm",
            },
            {"role": "tool", "tool_call_id": "t1", "content": "4"},
            {"role": "tool", "tool_call_id": "t2", "content": "Error:\nno such city"},
            {"role": "user", "content": "and?\nsay"},
        ]
    )
    assert found.ignored == ("messages[1].content[1]",)


def test_images_are_told_as_in_a_chat_in_results_too() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    found = asked(
        messages=[
            {"role": "user", "content": [image, text("what?")]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "see", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [image]}]},
        ]
    )
    first, _, result = found.chat.messages
    expected = chat(messages=[{"role": "user", "content": [part, {"type": "text", "text": "what?"}]}]).messages
    assert [first] == expected
    assert (result.role, result.content) == ("tool", expected[0].content[:1])  # type: ignore[index]


def test_a_document_of_text_is_text() -> None:
    document = {
        "type": "document",
        "title": "Notes",
        "source": {"type": "text", "media_type": "text/plain", "data": "abc"},
    }
    assert asked(messages=[{"role": "user", "content": [document]}]).chat.messages[0].content == "Notes\nabc"


def test_a_long_name_is_shortened_for_the_engine_and_known_again() -> None:
    name = "mcp__server.with.dots__" + "x" * 100
    found = asked(
        tools=[TOOL | {"name": name}],
        tool_choice={"type": "tool", "name": name},
        messages=[HI, {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": name, "input": {}}]}],
    )
    ((short, known),) = found.names.items()
    assert (known, len(short)) == (name, 64)
    assert (found.chat.tools or [])[0].function.name == short
    assert found.chat.tool_choice.function.name == short  # type: ignore[union-attr]
    assert (found.chat.messages[1].tool_calls or [])[0].function.name == short


@pytest.mark.parametrize(("choice", "meant"), [("auto", "auto"), ("any", "required"), ("none", "none")])
def test_a_choice_is_understood(choice: str, meant: str) -> None:
    assert asked(tools=[TOOL], tool_choice={"type": choice}).chat.tool_choice == meant


def test_a_schema_may_be_asked_for() -> None:
    wanted = {"type": "json_schema", "schema": {"type": "object"}}
    for fields in ({"output_config": {"format": wanted}}, {"output_format": wanted}):
        assert (
            asked(**fields).chat.response_format
            == chat(
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
                }
            ).response_format
        )


def test_counting_needs_no_limit() -> None:
    body = json.dumps({"model": "m", "messages": [HI], "system": "x"}).encode()
    assert parse(body, is_count=True).chat.max_tokens is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["x"]}, "messages[0]"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "x"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0].source"),
        (
            {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "base64"}}]}]},
            "messages[0].content[0].source",
        ),
        (
            {"messages": [HI, {"role": "assistant", "content": [{"type": "tool_use", "id": "t"}]}]},
            "messages[1].content[0].name",
        ),
        ({"system": [{"type": "image"}]}, "system[0].text"),
        ({"temperature": 3}, "temperature"),
        ({"stop_sequences": [""]}, "stop_sequences[0]"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tools": [{"name": "x", "input_schema": 5}]}, "tools[0].input_schema"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "x"}}, "tool_choice"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format"),
        ({"mcp_servers": [{"url": "x"}]}, "mcp_servers[0]"),
        ({"no_such_field": 1}, "no_such_field"),
    ],
)
def test_what_is_wrong_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        asked(**fields)
    assert raised.value.param == param
