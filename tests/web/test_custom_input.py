"""A custom tool's text comes out of its arguments whole, wherever they are cut."""

import json

import pytest

from web.chat.custom_input import InputReader
from web.chat.tools import input_of

TEXTS = ["ls -la", "", 'say "hi"\n\t\\', "日本語 🦊 é", "\u0000\u001f", "\\u0041", "a" * 50]


def pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
@pytest.mark.parametrize("is_ascii", [True, False])
def test_the_text_is_whole(text: str, size: int, is_ascii: bool) -> None:
    arguments = json.dumps({"input": text}, ensure_ascii=is_ascii)
    reader = InputReader()
    said = "".join(map(reader.feed, pieces(arguments, size))) + reader.end()
    assert said == text


@pytest.mark.parametrize(
    "arguments", ["ls", '{"command": "ls"}', "[]", '{"input": 5}', "", '{"inp', '{"x": {"input": "a"}}']
)
@pytest.mark.parametrize("size", [1, 5, 1_000])
def test_other_arguments_are_passed_on_in_the_end(arguments: str, size: int) -> None:
    reader = InputReader()
    assert "".join(map(reader.feed, pieces(arguments, size))) == ""
    assert reader.end() == input_of(arguments) == arguments


def test_a_text_that_was_cut_short_is_told_as_far_as_it_came() -> None:
    reader = InputReader()
    assert reader.feed('{"input": "ls -') + reader.end() == "ls -"


def test_what_comes_behind_the_text_is_not_a_part_of_it() -> None:
    reader = InputReader()
    assert reader.feed('{ "input" : "ls", "more": "x"}') + reader.end() == "ls"
