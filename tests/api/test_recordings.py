"""What TGI really sent once passes through the whole site, and is read by OpenAI's own package, streamed and whole."""

from typing import Any

import pytest
from openai import OpenAI

from accounts.models import Team
from inference.models import Run
from tests.api.scenes import body, charges, the_run
from tests.fakes.recordings import FOLDER, NAMES, recorded, streams
from tests.fakes.tgi import FakeTgi
from tests.fakes.tgi_events import DONE, chunk
from tests.patience import until

pytestmark = pytest.mark.django_db(transaction=True)

WEATHER = {
    "type": "function",
    "function": {"name": "get_current_weather", "parameters": {"type": "object", "properties": {}}},
}


class Expected:
    """What a recording says, put together by hand."""

    def __init__(self, chunks: list[dict[str, Any]]) -> None:
        choices = [choice for each in chunks for choice in each["choices"]]
        calls = [call["function"] for choice in choices for call in choice["delta"].get("tool_calls") or []]
        self.content = "".join(choice["delta"].get("content") or "" for choice in choices) or None
        self.name = "".join(call["name"] or "" for call in calls)
        self.arguments = "".join(call["arguments"] for call in calls)
        self.finish_reason = "tool_calls" if calls else choices[-1]["finish_reason"]
        self.usage = next((each["usage"] for each in chunks if each["usage"]), None)

    def is_counted_in(self, usage: Any) -> bool:
        """Whether the usage is the recorded one; where there was none, that it was counted at all."""
        if not self.usage:
            return bool(usage.total_tokens == usage.prompt_tokens + usage.completion_tokens)
        names = ("prompt_tokens", "completion_tokens", "total_tokens")
        # Without output nothing was delivered.
        return (self.content is None and not self.name) or all(
            getattr(usage, each) == self.usage[each] for each in names
        )


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_is_read_whole(name: str, client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    for chunks in streams(name):
        tgi.replay(chunks)
        expected = Expected(chunks)
        completion = client.chat.completions.create(**body(tools=[WEATHER] if expected.name else []))
        assert completion.id.startswith("chatcmpl-")
        assert completion.object == "chat.completion"
        (choice,) = completion.choices
        assert (choice.message.role, choice.finish_reason) == ("assistant", expected.finish_reason)
        assert (choice.message.content or None) == expected.content
        calls = choice.message.tool_calls or []
        assert [(call.function.name, call.function.arguments) for call in calls if call.type == "function"] == (
            [(expected.name, expected.arguments)] if expected.name else []
        )
        assert expected.is_counted_in(completion.usage)


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_is_read_as_a_stream(name: str, client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    for chunks in streams(name):
        tgi.replay(chunks)
        expected = Expected(chunks)
        options = {"stream": True, "stream_options": {"include_usage": True}}
        asked = body(tools=[WEATHER] if expected.name else [], **options)
        heard = list(client.chat.completions.create(**asked))
        assert {each.object for each in heard} == {"chat.completion.chunk"}
        assert len({each.id for each in heard}) == 1
        assert heard[0].id.startswith("chatcmpl-")
        *choices, last = [each.choices[0] for each in heard if each.choices]
        assert [choice.delta.role for choice in (*choices, last) if choice.delta.role] == ["assistant"]
        assert ("".join(choice.delta.content or "" for choice in (*choices, last)) or None) == expected.content
        assert [choice.finish_reason for choice in choices if choice.finish_reason] == []
        assert last.finish_reason == expected.finish_reason
        calls = [call for choice in (*choices, last) for call in choice.delta.tool_calls or []]
        assert [bool(call.id) for call in calls] == [True] * bool(calls) + [False] * (len(calls) - 1)
        functions = [call.function for call in calls if call.function]
        assert "".join(function.name or "" for function in functions) == expected.name
        assert "".join(function.arguments or "" for function in functions) == expected.arguments
        assert heard[-1].choices == []
        assert expected.is_counted_in(heard[-1].usage)


def test_no_recording_is_forgotten() -> None:
    recorded(NAMES[0])
    assert {path.stem.removeprefix("test_") for path in FOLDER.glob("*.json")} == set(NAMES)


def test_an_answer_that_ends_inside_a_token_is_charged_as_delivered(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.between = 0.01
    completion = client.chat.completions.create(**body(stop="wn fo", max_tokens=2_000))
    assert completion.choices[0].message.content == "The quick bro"
    assert completion.choices[0].finish_reason == "stop"
    run = the_run()
    assert (run.ending, run.counting, run.delivered_tokens) == ("stop", "tokenizer", 3)
    assert completion.usage
    assert completion.usage.completion_tokens == 3


def test_a_tool_call_that_ended_before_its_name_is_an_empty_answer_and_free(
    client: OpenAI, tgi: FakeTgi, funded: Team
) -> None:
    counts = chunk(None, usage={"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13})
    tgi.script.response = (200, "text/event-stream", counts + DONE)
    choice = client.chat.completions.create(**body(tools=[WEATHER], max_tokens=4)).choices[0]
    assert (choice.finish_reason, choice.message.content, choice.message.tool_calls) == ("length", "", None)
    until(Run.objects.exists)
    assert charges(funded) == []
