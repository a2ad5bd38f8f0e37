"""The table in docs/engines.md is true: each cell is held against what the engines really send or refuse."""

import json
import re
from typing import Any

import pytest
from django.conf import settings as django_settings
from openai.types.chat import ParsedChatCompletionMessage
from openai.types.chat.completion_create_params import CompletionCreateParamsBase

from inference.chat import Chat
from inference.engines.base import EndpointAddress
from inference.engines.openai import OpenAIEngine
from inference.errors import UnsupportedParameter
from tests.inference.clients import engine_for
from web.chat import parse

KINDS = ("vllm", "sglang", "tgi", "llamacpp", "ollama", "openai")

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
BARE_TOOL = {"type": "function", "function": {"name": "weather"}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


def user(content: Any) -> list[Any]:
    return [{"role": "user", "content": content}]


def image(url: str) -> list[Any]:
    return user([{"type": "image_url", "image_url": {"url": url}}])


def schema_format(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}}


# For each row of the table, what a caller says, and what else he has to say for it to mean anything.
EXAMPLES: dict[str, tuple[Any, dict[str, Any]]] = {
    "`model`": ("fable/owl", {}),
    "`messages`": ([{"role": "system", "content": "Be brief."}, *user("Who?")], {}),
    "`messages`: role `developer`": ([{"role": "developer", "content": "Be brief."}, *user("Who?")], {}),
    "`messages`: text beside `tool_calls`": ([{"role": "assistant", "content": "I look.", "tool_calls": [CALL]}], {}),
    "`messages`: `refusal`, `annotations`, `parsed` sent back": (
        [{"role": "assistant", "content": "Yes.", "refusal": None, "annotations": [], "parsed": {}}, *user("Who?")],
        {},
    ),
    "`messages`: `reasoning` sent back": ([{"role": "assistant", "content": "Yes.", "reasoning": "Hm."}], {}),
    "`messages`: markdown for an image in a text": (user("![](http://10.0.0.1/)"), {}),
    "`messages`: images as `data:`": (image("data:image/png;base64,iVBORw0KGgo="), {}),
    "`messages`: images by address": (image("https://pictures.example/fox.png"), {}),
    "`max_tokens`": (7, {}),
    "`max_completion_tokens`": (7, {}),
    "`temperature`": (0.7, {}),
    "`top_p`": (0.5, {}),
    "`top_p`: 1": (1, {}),
    "`top_p`: 0": (0, {}),
    "`top_p`: with `temperature` 0": (0.5, {"temperature": 0}),
    "`frequency_penalty`": (0.5, {}),
    "`presence_penalty`": (0.5, {}),
    "`presence_penalty`: 0": (0, {}),
    "`stop`": (["END"], {}),
    "`stop`: one string": ("END", {}),
    "`stop`: more than four": (list("abcde"), {}),
    "`stop`: longer than 1,000 characters": ("a" * 1_001, {}),
    "`seed`": (7, {}),
    "`seed`: negative": (-7, {}),
    "`n`: 1": (1, {}),
    "`n`: more": (2, {}),
    "`logprobs`": (True, {}),
    "`top_logprobs`": (5, {"logprobs": True}),
    "`top_logprobs`: more than five": (6, {"logprobs": True}),
    "`logit_bias`": ({"7": 1}, {}),
    "`response_format`: `text`": ({"type": "text"}, {}),
    "`response_format`: `json_object`": ({"type": "json_object"}, {}),
    "`response_format`: `json_object` with a schema as its `value`": ({"type": "json_object", "value": SCHEMA}, {}),
    "`response_format`: `json_schema`": (schema_format(SCHEMA), {}),
    "`response_format`: a schema without `properties`": (schema_format({"type": "object"}), {}),
    "`response_format`: with `tools`": (schema_format(SCHEMA), {"tools": [TOOL]}),
    "`tools`": ([TOOL], {}),
    "`tools`: a function without `parameters`": ([BARE_TOOL], {}),
    "`tools`: an empty list": ([], {}),
    "`tool_choice`": ("required", {"tools": [TOOL]}),
    "`parallel_tool_calls`": (False, {"tools": [TOOL]}),
    "`reasoning_effort`": ("low", {}),
    "`stream`": (False, {}),
    "`stream_options`": ({"include_usage": False}, {"stream": True}),
    "`top_k`": (5, {}),
    "`min_p`": (0.1, {}),
    "`repetition_penalty`": (1.1, {}),
    "`chat_template_kwargs`": ({"enable_thinking": False}, {}),
    "`cache_salt`": ("salt", {}),
    "`user`": ("ada", {}),
    "`metadata`": ({"a": "b"}, {}),
    "`store`": (True, {}),
    "`service_tier`": ("auto", {}),
    "`safety_identifier`": ("ada", {}),
    "`prompt_cache_key`": ("ada", {}),
    "`prompt_cache_options`": ({"ttl": "30m"}, {}),
    "`prompt_cache_retention`": ("24h", {}),
    "`modalities`: `text`": (["text"], {}),
    "`modalities`: `audio`": (["text", "audio"], {}),
    "`audio`": ({"voice": "alloy", "format": "wav"}, {}),
    "`function_call`, the old `tool_choice`": ({"name": "weather"}, {"functions": [{"name": "weather"}]}),
    "`functions`, the old `tools`": ([{"name": "weather"}], {}),
    "`moderation`": ({"model": "omni-moderation-latest"}, {}),
    "`prediction`": ({"type": "content", "content": "Yes."}, {}),
    "`verbosity`": ("low", {}),
    "`web_search_options`": ({}, {}),
}


# What OpenAI calls the same now.
NEWER = {"function_call": "tool_choice", "functions": "tools"}


def named(row: str) -> str:
    """Return the parameter that a row is about."""
    found = re.match(r"`(\w+)`", row)
    assert found, row
    return found[1]


def table() -> dict[str, dict[str, str]]:
    """Return the rows of the document's table of parameters: for each kind of engine, what becomes of it."""
    text = (django_settings.BASE_DIR / "docs" / "engines.md").read_text()
    section = text.partition("## What becomes of each parameter")[2].partition("\n## ")[0]
    heading, _, *rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    # A column may be of several kinds.
    columns = [re.findall(r"`(\w+)`", cell) for cell in heading[1:]]
    assert [kind for kinds in columns for kind in kinds] == list(KINDS)
    return {
        row[0].strip(): {kind: cell.strip() for kinds, cell in zip(columns, row[1:], strict=True) for kind in kinds}
        for row in rows
    }


def sent(kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Return what an engine would be sent. Raises UnsupportedParameter."""
    engine = engine_for(EndpointAddress(kind, "http://localhost", "", "upstream"))
    assert isinstance(engine, OpenAIEngine)
    chat = parse(json.dumps({"model": "org/model", "messages": user("hello")} | fields).encode())
    engine.check(chat)
    body: dict[str, Any] = json.loads(engine.encode(chat, None))
    return body


def becomes(kind: str, row: str) -> str:
    """Return what becomes of a row's example."""
    value, rest = EXAMPLES[row]
    field = named(row)
    try:
        without = sent(kind, rest)
        body = sent(kind, rest | {field: value})
    except UnsupportedParameter as refused:
        refused_field = re.split(r"[.\[]", refused.param or "")[0]
        # Where two exclude each other, either is named.
        return "refused" if refused_field in {field, NEWER.get(field), *rest} else f"refused for {refused_field}"
    changed = {name for name in body | without if body.get(name) != without.get(name)}
    if body.get(field) == value and changed <= {field}:
        return "passed"
    return "translated" if changed or field in body else "left out"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("row", EXAMPLES)
def test_the_document_says_what_becomes_of_a_parameter(row: str, kind: str) -> None:
    assert re.split(r"[:;,]", table()[row][kind])[0] == becomes(kind, row)


def test_the_document_has_a_row_for_every_parameter_and_no_other() -> None:
    assert list(table()) == list(EXAMPLES)
    assert {named(row) for row in EXAMPLES} == set(Chat.__struct_fields__)


def test_every_parameter_of_the_openai_package_has_a_row_and_may_be_null() -> None:
    known = set(CompletionCreateParamsBase.__annotations__) - {"model", "messages"}
    assert known <= {named(row) for row in EXAMPLES}
    assert sent("openai", dict.fromkeys(known)) == sent("openai", {})


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_of_the_openai_package_can_be_the_next_turn(kind: str) -> None:
    turn = {"role": "assistant", "content": "Yes."}
    dumped = ParsedChatCompletionMessage[None].model_validate(turn).model_dump()
    assert set(dumped) > {"parsed", "audio", "function_call", "refusal", "annotations", "tool_calls"}
    assert sent(kind, {"messages": [dumped]})["messages"] == [turn]
    function = {"name": "weather", "arguments": "{}", "parsed_arguments": {"a": [1]}}
    parsed = CALL | {"function": function}
    called = [{"role": "assistant", "content": None, "tool_calls": [parsed], "parsed": None, "name": None}]
    # TGI's templates write a text once more as JSON.
    arguments: Any = {} if kind == "tgi" else "{}"
    call = CALL | {"function": {"name": "weather", "arguments": arguments}}
    assert sent(kind, {"messages": called})["messages"][0]["tool_calls"] == [call]


def test_null_is_the_same_as_leaving_out_inside_options_too() -> None:
    options = {"stream": True, "stream_options": {"include_usage": None, "include_obfuscation": None}}
    assert sent("openai", options) == sent("openai", {"stream": True})
    schema = {"name": "place", "schema": SCHEMA}
    formats = [{"type": "json_schema", "json_schema": each} for each in (schema, schema | {"description": None})]
    assert sent("openai", {"response_format": formats[1]}) == sent("openai", {"response_format": formats[0]})
    function = {"name": "weather", "parameters": SCHEMA}
    tools = [TOOL, {"type": "function", "function": function | {"description": None, "strict": None}}]
    assert sent("openai", {"tools": [tools[1]]}) == sent("openai", {"tools": [tools[0]]})
    turn = {"role": "user", "content": "Who?"}
    whole = turn | {"name": None, "tool_call_id": None, "tool_calls": None}
    assert sent("openai", {"messages": [whole]}) == sent("openai", {"messages": [turn]})
