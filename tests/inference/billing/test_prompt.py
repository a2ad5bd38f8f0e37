"""How large a prompt can be, told without asking anyone."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.billing import prompt
from inference.billing.prompt import Overhead
from tests.fakes.tgi_validation import templated, tokens_of
from tests.inference.scenes import chat

NOTHING = Overhead(plain=0, system=0, tools=0, image=None)
SHAPES = Overhead(plain=1, system=20, tools=300, image=4_000)
USER = [{"role": "user", "content": "a"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def bound(overhead: Overhead = NOTHING, **fields: Any) -> int:
    return prompt.bound(chat(**fields), overhead)


def image(size: int) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'A' * size}"}}


@pytest.mark.parametrize("role", ["system", "developer"])
def test_the_templates_part_goes_by_the_prompts_shape(role: str) -> None:
    system = [{"role": role, "content": "b"}, *USER]
    assert bound(SHAPES, messages=USER) == bound(messages=USER) + 1
    assert bound(SHAPES, messages=system) == bound(messages=system) + 20
    for messages in (USER, system):
        assert bound(SHAPES, messages=messages, tools=[TOOL]) == bound(messages=messages, tools=[TOOL]) + 300
    assert bound(SHAPES, messages=USER, tools=[]) == bound(SHAPES, messages=USER)


def test_an_image_counts_as_declared_however_many_bytes_it_has() -> None:
    def message(*parts: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"role": "user", "content": [{"type": "text", "text": "a"}, *parts]}]

    small, large = (bound(SHAPES, messages=message(image(size))) for size in (4, 400_000))
    assert small == large
    assert bound(SHAPES, messages=message(image(4), image(8))) - small > 4_000
    assert 4_000 < small < 4_300


def test_a_model_that_reads_no_images_takes_their_data_for_text() -> None:
    messages = [{"role": "user", "content": [image(4_000)]}]
    assert bound(messages=messages) > 4_000
    assert prompt.estimate(chat(messages=messages), None) > 1_000


def test_an_estimate_does_not_take_an_image_for_text() -> None:
    messages = [{"role": "user", "content": [image(400_000)]}]
    assert 64 < prompt.estimate(chat(messages=messages), 64) < 128


def test_what_a_template_writes_out_is_counted_as_wide_as_it_may_be() -> None:
    tool = {"type": "function", "function": {"name": "f", "description": "<'&'>" * 100}}
    tool["function"]["parameters"] = {"enum": [[[[1, 2, 3]]] * 20]}  # type: ignore[index]
    as_minijinja = json.dumps([tool], indent=4)
    for character in "<>&'":
        as_minijinja = as_minijinja.replace(character, f"\\u{ord(character):04x}")
    assert bound(messages=USER, tools=[tool]) > len(as_minijinja)


@pytest.mark.parametrize(
    "fields",
    [
        {"chat_template_kwargs": {"documents": ["x" * 1_000]}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"title": "x" * 1_000}}}},
    ],
)
def test_nothing_that_may_become_prompt_is_left_out(fields: dict[str, Any]) -> None:
    assert bound(**fields) > bound() + 1_000
    assert prompt.estimate(chat(**fields), None) > prompt.estimate(chat(), None) + 200


texts = st.text(max_size=40)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), texts), min_size=1, max_size=6))
def test_no_prompt_has_more_tokens_than_its_bound(turns: list[tuple[str, str]]) -> None:
    messages = [{"role": role, "content": content} for role, content in turns]
    template = len(tokens_of(templated([])))
    assert len(tokens_of(templated(messages))) <= bound(Overhead(template, template, template, None), messages=messages)
