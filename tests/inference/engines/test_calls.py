"""Tool calls are put together however an engine numbers, names and splits them, in every dialect."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from inference.errors import EngineFailed
from tests.inference.engines.conversation import answer_in, called, chat, finish_reasons
from tests.inference.engines.streams import KINDS, call, calls, chunk, stream

ONE = ("f", '{"a":1}')
TWO = ("g", '{"b":2}')


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("events", "wanted"),
    [
        ([calls(call(*ONE), call(*TWO))], [ONE, TWO]),
        ([calls(call(*ONE)), calls(call(*TWO))], [ONE, TWO]),
        ([calls(call("f", '{"a"'), call("g", '{"b"')), calls(call(None, ":1}"), call(None, ":2}"))], [ONE, TWO]),
        (
            [calls(call("f", '{"a"')), calls(call(None, ":1}")), calls(call("g", '{"b":')), calls(call(None, "2}"))],
            [ONE, TWO],
        ),
        ([calls(call(*ONE, index=0)), calls(call(*TWO, index=0))], [ONE, TWO]),
        ([calls(call(*ONE, index=0)), calls(call(*ONE, index=0))], [ONE, ONE]),
        ([calls(call(*ONE, index=0, id="a")), calls(call(*TWO, index=1, id="a"))], [ONE, TWO]),
        ([calls(call(*ONE, id="a")), calls(call(*TWO, id="a"))], [ONE, TWO]),
        ([calls(call(*ONE, index=0, id="a"), call(*TWO, index=0, id="b"))], [ONE, TWO]),
        (
            [
                calls(call("f", "", index=0, id="a"), call("g", "", index=0, id="b")),
                calls(call(None, '{"a":1}', id="a")),
                calls(call(None, '{"b":2}', id="b")),
            ],
            [ONE, TWO],
        ),
        (
            [
                calls(call("f", '{"a"', index=0), call("g", '{"b"', index=1)),
                calls(call(None, ":2}", index=1)),
                calls(call(None, ":1}", index=0)),
            ],
            [ONE, TWO],
        ),
        ([calls(call(*ONE, index=7)), calls(call(*TWO, index=9))], [ONE, TWO]),
        ([calls(call(*ONE, index="0")), calls(call(*TWO, index="1"))], [ONE, TWO]),
        ([calls(call("f", '{"a"', index=0.0)), calls(call(None, ":1}", index=0.0))], [ONE]),
        ([calls(call(*ONE, index=None, id=None)), calls(call(*TWO, index=None, id=None))], [ONE, TWO]),
        ([calls(call(*ONE, index={}, id=[])), calls(call(*TWO, index="x", id=False))], [ONE, TWO]),
        # Names and ids that come late, in pieces, or again and again.
        ([calls(call(None, "", index=0, id="a")), calls(call(*ONE, index=0))], [ONE]),
        ([calls(call(None, '{"a"', index=0, id="a")), calls(call("f", ":1}", index=0))], [ONE]),
        ([calls(call(None, '{"a":1}', id="a")), calls(call("f", ""))], [ONE]),
        ([calls(call("get_", "")), calls(call("weather", "")), calls(call(None, "{}"))], [("get_weather", "{}")]),
        ([calls(call("f", "", index=0)), calls(call(None, '{"a":1}', index=0, id="a"))], [ONE]),
        ([calls(call("f", '{"a"', index=0, id="a")), calls(call("f", ":1}", index=0, id="a"))], [ONE]),
        ([calls(call("f", '{"a"', index=0, id="a")), calls(call("f", ":1}", index=0, id="b"))], [ONE]),
        ([calls(call("f", '{"a"', index=0, id="a")), calls(call("", ":1}", index=0, id=""))], [ONE]),
        ([calls(call("f", '{"a"', id="a")), calls(call(None, ":1}", id="b"))], [ONE]),
        ([calls(call("f"))], [("f", "")]),
        ([calls(call("f", "")), calls(call(*TWO))], [("f", ""), TWO]),
        # Shapes of their own.
        ([calls(call("f", {"a": 1}))], [ONE]),
        ([calls(call("f", {}))], [("f", "{}")]),
        ([calls(call("f", [1]))], [("f", "[1]")]),
        ([chunk({"tool_calls": call(*ONE)})], [ONE]),
        ([chunk({"tool_calls": [None, call(*ONE), {}]})], [ONE]),
        ([calls({"name": "f", "arguments": {"a": 1}})], [ONE]),
        ([calls({"function": "f", "parameters": {"a": 1}})], [ONE]),
        ([calls(call(*ONE, id=12))], [ONE]),
        (
            [
                chunk({"function_call": {"name": "f", "arguments": '{"a"'}}),
                chunk({"function_call": {"arguments": ":1}"}}),
            ],
            [ONE],
        ),
        ([chunk({"function_call": {"name": "f", "arguments": {"a": 1}}})], [ONE]),
        ([chunk({"tool_calls": [call(*ONE)], "function_call": {"name": "f", "arguments": '{"a":1}'}})], [ONE]),
        ([{"choices": [{"message": {"tool_calls": [call(*ONE), call(*TWO)]}}]}], [ONE, TWO]),
    ],
)
@pytest.mark.parametrize("end", ["stop", "tool_calls", "function_call", "TOOL_USE"])
async def test_tool_calls_are_put_together(
    kind: str, events: Sequence[Any], wanted: Sequence[tuple[str, str]], end: str
) -> None:
    offered = [{"type": "function", "function": {"name": name}} for name in ("f", "g", "get_weather")]
    chunks = await answer_in(kind, stream(*events, end=end), chat(tools=offered))
    found = [(name, json.loads(arguments or "{}")) for name, arguments in called(chunks).values()]
    assert found == [(name, json.loads(arguments or "{}")) for name, arguments in wanted]
    assert finish_reasons(chunks) == ["tool_calls"]
    firsts = [piece for each in chunks for piece in each.tool_calls if piece.id]
    assert len({piece.id for piece in firsts}) == len(firsts) == len(wanted)
    # Clients take a call's name from its first piece.
    assert [piece.function.name for piece in firsts if piece.function] == [name for name, _ in wanted]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_without_a_name_is_the_only_function_that_was_offered(kind: str) -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    chunks = await answer_in(kind, stream(calls(call(None, "{}"))), chat(tools=[tool]))
    assert called(chunks) == {0: ("f", "{}")}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "events",
    [
        [calls(call(None, "{}"))],
        [calls(call({"name": "f"}, "{}"))],
        [chunk({"tool_calls": ["f"]})],
        [chunk({"tool_calls": "f()"})],
        [chunk({"function_call": "f"})],
    ],
)
async def test_a_call_that_nobody_could_make_is_an_error(kind: str, events: Sequence[Any]) -> None:
    with pytest.raises(EngineFailed):
        await answer_in(kind, stream(*events))
