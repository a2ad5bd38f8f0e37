"""Requests to /v1/responses are understood as the chats that they are."""

import json
from typing import Any

import pytest

from api.responses.request import Asked, parse, understand
from inference.chat import Chat
from inference.errors import InvalidRequest
from web.chat import parse as parse_chat

WEATHER = {"type": "function", "name": "weather", "description": "d", "parameters": {"type": "object"}, "strict": True}
IMAGE = "data:image/png;base64,AAAA"


def asked(**fields: Any) -> Asked:
    return understand(parse(json.dumps({"model": "m", "input": "hi"} | fields).encode()), [])


def chat(**fields: Any) -> Chat:
    return parse_chat(json.dumps({"model": "m"} | fields).encode())


def messages(*items: Any, **fields: Any) -> list[Any]:
    return list(asked(input=list(items), **fields).chat.messages)


def test_a_text_is_what_the_user_says() -> None:
    assert asked().chat == chat(messages=[{"role": "user", "content": "hi"}])
    assert asked(input=[{"role": "user", "content": "hi"}]).chat == asked().chat
    part = {"type": "input_text", "text": "hi"}
    assert asked(input=[{"type": "message", "role": "user", "content": [part]}]).chat == asked().chat


def test_what_systems_and_developers_say_goes_first() -> None:
    found = asked(
        instructions="one",
        input=[
            {
                "role": "developer",
                "content": [{"type": "input_text", "text": "two"}, {"type": "input_text", "text": "three"}],
            },
            {"role": "user", "content": "hi"},
            {"role": "system", "content": "four"},
        ],
    )
    assert found.chat == chat(
        messages=[{"role": "system", "content": "one\n\ntwo\nthree\n\nfour"}, {"role": "user", "content": "hi"}]
    )


def test_a_turn_of_the_assistant_is_one_message() -> None:
    found = messages(
        {"role": "user", "content": "hi"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": None},
        {
            "type": "reasoning",
            "id": "rs_2",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "x",
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
        },
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}", "id": "fc_1"},
        {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": '{"a":1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "4"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "5"}]},
        {"type": "message", "role": "assistant", "content": "Four.", "phase": "final"},
        {"role": "user", "content": "thanks"},
    )
    calls = [
        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
        {"id": "c2", "type": "function", "function": {"name": "weather", "arguments": '{"a":1}'}},
    ]
    assert (
        found
        == chat(
            messages=[
                {"role": "user", "content": "hi"},
                {
                    "role": "assistant",
                    "content": "I look.",
                    "tool_calls": calls,
                    "reasoning": "hm",
                    "reasoning_content": "hm",
                },
                {"role": "tool", "tool_call_id": "c1", "content": "4"},
                {"role": "tool", "tool_call_id": "c2", "content": "5"},
                {"role": "assistant", "content": "Four."},
                {"role": "user", "content": "thanks"},
            ]
        ).messages
    )


def test_a_thought_alone_is_a_turn_without_words() -> None:
    thought = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    (_, spoken, _) = messages({"role": "user", "content": "a"}, thought, {"role": "user", "content": "b"})
    assert (spoken.role, spoken.content, spoken.reasoning) == ("assistant", "", "hm")


def test_an_image_is_told_as_in_a_chat() -> None:
    part = {"type": "input_image", "image_url": IMAGE, "detail": "original"}
    content = [{"type": "input_text", "text": "look"}, part]
    assert (
        messages({"role": "user", "content": content})
        == chat(
            messages=[
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": IMAGE}}],
                }
            ]
        ).messages
    )
    (_, _, result) = messages(
        {"role": "user", "content": "x"},
        {"type": "function_call", "call_id": "c", "name": "see", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": content},
    )
    assert [kind.__class__.__name__ for kind in result.content] == ["TextPart", "ImagePart"]


def test_parameters_have_their_name_in_a_chat() -> None:
    schema = {"type": "object", "properties": {}}
    found = asked(
        max_output_tokens=20,
        temperature=0.5,
        top_p=0.9,
        reasoning={"effort": "low", "summary": "auto"},
        text={"format": {"type": "json_schema", "name": "x", "schema": schema, "strict": True}, "verbosity": "low"},
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        top_logprobs=3,
        store=False,
        stream=True,
        client_metadata={"a": "b"},
        prompt_cache_key="k",
        max_tool_calls=3,
        truncation="auto",
    )
    assert found.chat == chat(
        messages=[{"role": "user", "content": "hi"}],
        max_completion_tokens=20,
        temperature=0.5,
        top_p=0.9,
        reasoning_effort="low",
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}},
        logprobs=True,
        top_logprobs=3,
        store=False,
        stream=True,
        prompt_cache_key="k",
    )
    assert set(found.ignored) == {"text.verbosity", "client_metadata", "max_tool_calls", "truncation"}
    assert found.summarizes
    assert not found.is_stored
    assert asked().is_stored


def test_functions_and_custom_tools_are_functions_and_hosted_ones_are_left_out() -> None:
    found = asked(
        tools=[
            WEATHER,
            {"type": "web_search"},
            {"type": "web_search_preview_2025_03_11"},
            {
                "type": "custom",
                "name": "patch",
                "description": "d",
                "format": {"type": "grammar", "syntax": "lark", "definition": "x"},
            },
            {"type": "namespace", "name": "mcp__files__", "description": "d", "tools": [WEATHER | {"name": "read"}]},
            {"type": "namespace", "name": "a.b", "tools": [WEATHER | {"name": "x" * 64}]},
        ],
        tool_choice="auto",
        parallel_tool_calls=False,
    )
    names = [tool.function.name for tool in found.chat.tools or ()]
    assert names[:3] == ["weather", "patch", "mcp__files__read"]
    assert len(names[3]) == 64
    assert found.ignored == ("tools[1]", "tools[2]", "tools[3].format")
    assert found.tools.custom == {"patch"}
    assert found.tools.named("mcp__files__read") == {"name": "read", "namespace": "mcp__files__"}
    assert found.tools.named(names[3]) == {"name": "x" * 64, "namespace": "a.b"}
    assert found.tools.named("weather") == {"name": "weather"}
    assert (found.chat.tools or [])[0].function.strict
    assert found.chat.tool_choice == "auto"


def test_calls_are_known_by_the_names_that_engines_have_for_them() -> None:
    (_, spoken, result) = messages(
        {"role": "user", "content": "x"},
        {"type": "function_call", "call_id": "c", "name": "read", "namespace": "mcp__files__", "arguments": "{}"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "done"},
    )
    assert spoken.tool_calls[0].function.name == "mcp__files__read"
    assert (result.role, result.content) == ("tool", "done")
    (_, spoken) = messages(
        {"role": "user", "content": "x"}, {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": "ls"}
    )
    assert spoken.tool_calls[0].function.arguments == '{"input":"ls"}'


@pytest.mark.parametrize(
    ("choice", "meant"),
    [
        ({"type": "function", "name": "weather"}, "weather"),
        ({"type": "custom", "name": "patch"}, "patch"),
        ("required", "required"),
        ("none", "none"),
        (None, None),
        ({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "weather"}]}, "required"),
    ],
)
def test_a_choice_among_tools_is_understood(choice: Any, meant: str | None) -> None:
    found = asked(tools=[WEATHER, {"type": "custom", "name": "patch"}], tool_choice=choice).chat
    chosen: Any = found.tool_choice
    assert (chosen.function.name if hasattr(chosen, "function") else chosen) == meant
    if isinstance(choice, dict) and choice["type"] == "allowed_tools":
        assert [tool.function.name for tool in found.tools or ()] == ["weather"]


def test_without_a_tool_that_is_left_nothing_is_said_of_tools() -> None:
    found = asked(tools=[{"type": "web_search"}], tool_choice="auto", parallel_tool_calls=True)
    assert found.chat == asked().chat
    assert found.ignored == ("tools[0]",)


def test_what_hosted_tools_did_is_left_out() -> None:
    found = asked(
        input=[{"type": "web_search_call", "id": "ws", "status": "completed"}, {"role": "user", "content": "hi"}]
    )
    assert found.chat == asked().chat
    assert found.ignored == ("input[0]",)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"input": [{"type": "nonsense"}]}, "input[0].type"),
        ({"input": [{}]}, "input[0].type"),
        ({"input": [{"role": "king", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "input[0].content[0]"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].image_url",
        ),
        ({"input": [{"role": "user", "content": [{"type": "x"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"instructions": 5}, "instructions"),
        ({"temperature": 3}, "temperature"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
        ({"tools": [{"type": "nonsense"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "name": "a b"}]}, "tools[0].name"),
        ({"tools": [{"type": "web_search"}], "tool_choice": "required"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": "always"}, "tool_choice"),
        ({"background": True, "store": False}, "store"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "x"}}, "prompt"),
        ({"no_such_field": 1}, "no_such_field"),
        ({"truncation": "sometimes"}, "truncation"),
    ],
)
def test_what_is_wrong_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        asked(**fields)
    assert raised.value.param == param


def test_null_is_the_same_as_leaving_out() -> None:
    optional = [
        name for name in type(parse(b'{"model":"m","input":"hi"}')).__struct_fields__ if name not in ("model", "input")
    ]
    assert asked(**dict.fromkeys(optional)).chat == asked().chat
