"""What clients merely carry along is left out and named; what they say in other words is understood."""

import json
from typing import Any

import pytest

from inference.chat import Chat, Message, Tool
from inference.errors import InvalidRequest
from tests.inference.scenes import HELLO, MODEL
from web.chat import Parsed, read
from web.chat.tolerance import CARRIED_ALONG, MAX_PARTS
from web.chat.tools import input_of

USER = {"role": "user", "content": "hello"}
FUNCTION = {"name": "weather", "parameters": {"type": "object"}}
TOOL = {"type": "function", "function": FUNCTION}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


def reading(**fields: Any) -> Parsed:
    return read(json.dumps({"model": MODEL, "messages": HELLO} | fields).encode())


def turn(message: dict[str, Any]) -> tuple[Message, tuple[str, ...]]:
    parsed = reading(messages=[USER, message, USER])
    return parsed.chat.messages[1], parsed.ignored


def test_a_plain_request_has_nothing_to_leave_out() -> None:
    assert reading(temperature=0.5) == Parsed(reading(temperature=0.5).chat)


@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        ({"messages": [USER | {"mood": "sad", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
         {"messages[0].mood", "messages[0].cache_control"}),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {}}]}]},
         {"messages[0].content[0].cache_control"}),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "prompt_cache_breakpoint": {}}]}]},
         {"messages[0].content[0].prompt_cache_breakpoint"}),
        ({"messages": [USER, {"role": "assistant", "content": "b", "provider_specific_fields": {"refusal": None},
                              "thinking_blocks": [{"type": "thinking"}], "reasoning_details": []}]},
         {f"messages[1].{name}" for name in ("provider_specific_fields", "thinking_blocks", "reasoning_details")}),
        ({"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [
            CALL | {"function": CALL["function"] | {"description": None}, "extra_content": {"google": {}}}]}]},  # type: ignore[operator]
         {"messages[1].tool_calls[0].function.description", "messages[1].tool_calls[0].extra_content"}),
        ({"tools": [TOOL | {"cache_control": {}, "function": FUNCTION | {"returns": 1}}]},
         {"tools[0].cache_control", "tools[0].function.returns"}),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "weather"}, "x": 1}}, set()),
        ({"stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": True}},
         {"stream_options.continuous_usage_stats"}),
        ({"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "original"}}]}]},
         {"messages[0].content[0].image_url.detail"}),
        ({"verbosity": "medium", "thinking": {"type": "enabled"}, "ignore_eos": True, "extra_content": {}},
         {"verbosity", "thinking", "ignore_eos", "extra_content"}),
        ({"reasoning": {"effort": "low", "exclude": True}}, {"reasoning.exclude"}),
    ],
)  # fmt: skip
def test_what_a_client_carries_along_is_left_out_and_named(fields: dict[str, Any], ignored: set[str]) -> None:
    parsed = reading(**fields)
    assert set(parsed.ignored) == ignored
    assert len(parsed.ignored) == len(ignored)


@pytest.mark.parametrize("name", sorted(CARRIED_ALONG))
def test_each_parameter_that_clients_are_known_to_send_changes_nothing(name: str) -> None:
    assert reading(**{name: {"a": 1}}).chat == reading().chat
    assert reading(**{name: None}).ignored == ()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"no_such_field": 1}, "no_such_field"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"guided_regex": "a+"}, "guided_regex"),
        ({"response_format": {"type": "json_object", "grammar": "x"}}, "response_format.grammar"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "regex": "a"}}},
         "response_format.json_schema.regex"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
         "messages[0].content[0].type"),
        ({"verbosity": "low", "temperature": 9}, "temperature"),
        ({"repeat_penalty": 7}, "repeat_penalty"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"tools": [{"type": "custom", "custom": {"name": "a b"}}]}, "tools[0].custom.name"),
    ],
)  # fmt: skip
def test_what_would_change_the_answer_is_refused_by_the_name_that_the_client_gave_it(
    fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        reading(**fields)
    assert raised.value.param == param


@pytest.mark.parametrize(
    ("message", "content"),
    [
        ({"content": [{"type": "refusal", "refusal": "no"}]}, "no"),
        ({"content": [{"type": "output_text", "text": "yes", "annotations": []}]}, "yes"),
        ({"content": None, "refusal": "no"}, "no"),
        ({"refusal": "no"}, "no"),
        ({"content": None, "reasoning": "hmm"}, ""),
        ({"content": None, "reasoning_content": "hmm"}, ""),
        ({"content": None, "thinking_blocks": [{"type": "thinking", "thinking": "x"}], "reasoning": "x"}, ""),
        ({"content": [{"type": "thinking", "thinking": "x"}, {"type": "text", "text": "yes"}]}, "yes"),
        ({"content": [{"type": "redacted_thinking", "data": "x"}]}, ""),
    ],
)
def test_what_the_assistant_said_is_its_content(message: dict[str, Any], content: str) -> None:
    taken, _ = turn({"role": "assistant"} | message)
    said = taken.content
    assert (said if isinstance(said, str) else "".join(part.text for part in said or ())) == content  # type: ignore[union-attr]


def test_an_image_may_be_written_without_an_object_around_its_address() -> None:
    url = "data:image/png;base64,AAAA"
    for part in ({"type": "image_url", "image_url": url}, {"type": "input_image", "image_url": url, "detail": "low"}):
        taken, _ = turn({"role": "user", "content": [part]})
        assert [address for address, _ in Chat(MODEL, [taken]).images()] == [url]


def test_old_functions_are_tools() -> None:
    parsed = reading(
        functions=[FUNCTION],
        function_call={"name": "weather"},
        messages=[
            USER,
            {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": "{}"}},
            {"role": "function", "name": "weather", "content": "4"},
        ],
    )
    chat = parsed.chat
    assert parsed.has_old_functions
    assert (
        chat
        == reading(
            tools=[TOOL],
            tool_choice=TOOL | {"function": {"name": "weather"}},
            messages=[
                USER,
                {"role": "assistant", "content": None, "tool_calls": [CALL | {"id": "call_1"}]},
                {"role": "tool", "name": "weather", "content": "4", "tool_call_id": "call_1"},
            ],
        ).chat
    )
    assert reading(functions=[], function_call="auto").chat.tool_choice is None
    assert reading(functions=[FUNCTION], function_call="none").chat.tool_choice == "none"


def test_old_calls_in_the_conversation_do_not_need_functions() -> None:
    messages = [
        USER,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "1"},
        {"role": "assistant", "content": "", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "2"},
    ]
    parsed = reading(messages=messages)
    assert not parsed.has_old_functions
    assert [message.tool_call_id for message in parsed.chat.messages] == [None, None, "call_1", None, "call_3"]


def test_a_custom_tool_is_a_function_of_one_text() -> None:
    custom = {"type": "custom", "custom": {"name": "shell", "description": "runs"}}
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /a+/"}}
    parsed = reading(
        tools=[custom, {"type": "custom", "custom": {"name": "patch", "format": grammar}}, TOOL],
        tool_choice={"type": "custom", "custom": {"name": "shell"}},
        messages=[
            USER,
            {
                "role": "assistant",
                "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "s", "input": "ls"}}],
            },
        ],
    )
    shell, patch, _ = parsed.chat.tools or []
    assert parsed.custom_tools == {"shell", "patch"}
    assert parsed.ignored == ("tools[1].custom.format",)
    assert shell.function.parameters
    assert shell.function.parameters["required"] == ["input"]
    assert "start: /a+/" in (patch.function.description or "")
    assert getattr(parsed.chat.tool_choice, "type", None) == "function"
    (call,) = parsed.chat.messages[1].tool_calls or []
    assert input_of(call.function.arguments) == "ls"


@pytest.mark.parametrize("arguments", ["ls", "[]", '{"input": 5}', '{"other": "x"}', ""])
def test_a_custom_tool_that_was_called_otherwise_gets_what_was_said(arguments: str) -> None:
    assert input_of(arguments) == arguments


@pytest.mark.parametrize("mode", ["auto", "required"])
@pytest.mark.parametrize("is_flat", [True, False])
def test_only_the_allowed_tools_are_told_to_the_engine(mode: str, is_flat: bool) -> None:
    other = {"type": "function", "function": {"name": "other"}}
    tool = {"type": "function", "name": "weather"} if is_flat else TOOL
    allowed = {"mode": mode, "tools": [tool]}
    choice = {"type": "allowed_tools"} | (allowed if is_flat else {"allowed_tools": allowed})
    chat = reading(tools=[other, TOOL], tool_choice=choice).chat
    assert [each.function.name for each in chat.tools or ()] == ["weather"]
    assert chat.tool_choice == mode


@pytest.mark.parametrize(
    ("choice", "known"), [("any", "required"), ({"type": "auto"}, "auto"), ({"type": "none"}, "none")]
)
def test_a_choice_in_others_words_is_understood(choice: Any, known: str) -> None:
    assert reading(tools=[TOOL], tool_choice=choice).chat.tool_choice == known


def test_tools_and_calls_in_others_shapes_are_understood() -> None:
    tools: list[Tool] = reading(tools=[{"type": "function", **FUNCTION}]).chat.tools or []
    assert tools == reading(tools=[TOOL]).chat.tools
    call = {"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}
    taken, _ = turn({"role": "assistant", "tool_calls": [call]})
    assert (taken.tool_calls or [])[0].function.arguments == '{"a":1}'
    taken, _ = turn({"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": None}}]})
    assert (taken.tool_calls or [])[0].function.arguments == "{}"


def test_parameters_of_other_servers_have_their_name_here() -> None:
    assert reading(repeat_penalty=1.2).chat.repetition_penalty == 1.2
    assert reading(reasoning={"effort": "low"}).chat.reasoning_effort == "low"
    assert reading(reasoning_effort="max").chat.reasoning_effort == "max"
    schema = {"type": "object"}
    parsed = reading(response_format={"type": "json_object", "schema": schema})
    assert parsed.chat == reading(response_format={"type": "json_object", "value": schema}).chat


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user", "content": [{}] * (MAX_PARTS + 1)}], "verbosity": "low"},
        {"messages": [{"role": "user", "content": "," * 500_001}], "verbosity": "low"},
        {"messages": [USER | {"x": 1}] * 2_049},
    ],
)
def test_a_body_of_very_many_parts_is_not_looked_through(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        reading(**fields)


@pytest.mark.parametrize(
    "value", [None, 5, "x", True, [], {}, [None], [[]], [{}], {"type": None}, {"type": []}, {"type": "custom"}]
)
@pytest.mark.parametrize(
    "field", ["messages", "tools", "tool_choice", "functions", "function_call", "response_format", "reasoning"]
)
def test_nothing_breaks_on_the_wrong_type(field: str, value: Any) -> None:
    for around in ({}, {"x": 1}, {"functions": [FUNCTION]}, {"tools": [TOOL]}):
        for content in ([USER, {"role": "assistant", "content": value, "tool_calls": value}], None):
            fields = around | ({"messages": content} if content else {}) | {field: value}
            try:
                reading(**fields)
            except InvalidRequest as error:
                assert error.message  # noqa: PT017 - being refused is one of two good answers
