from typing import Any

import pytest
from asgiref.sync import sync_to_async

from tests.fakes.tgi import FakeTgi
from tests.playground.cast import Cast, browser, calls, conversation_of, page_of, say
from tests.playground.tab import tab

begin = sync_to_async(conversation_of)
add = sync_to_async(say)
page = sync_to_async(page_of)


async def test_a_conversation_is_answered_as_it_stands(cast: Cast, tgi: FakeTgi) -> None:
    conversation = await begin(cast.member)
    await add(conversation, "user", "One")
    await add(conversation, "user", "Two")
    async with tab(cast.member) as chat:
        await chat.say(type="answer", ref="r", conversation=str(conversation.pk))
        assert (await chat.hear("started"))["user"] is None
        await chat.hear("ended")
    assert [message["content"] for message in calls(tgi)[-1].json["messages"]] == ["One", "Two"]


async def test_an_answer_that_was_begun_is_gone_on_with(cast: Cast, tgi: FakeTgi) -> None:
    conversation = await begin(cast.member)
    await add(conversation, "user", "Tell me about foxes")
    begun = await add(conversation, "assistant", "Once upon a time,")
    tgi.script.answer = [" a fox", " slept."]
    async with tab(cast.member) as chat:
        await chat.say(type="answer", ref="r", conversation=str(conversation.pk))
        started = await chat.hear("started")
        ended = await chat.hear("ended")
    assert (started["message"]["content"], started["message"]["prefill"]) == ("Once upon a time,", "Once upon a time,")
    assert ended["message"]["content"] == "Once upon a time, a fox slept."
    assert calls(tgi)[-1].json["messages"][-1] == {"role": "assistant", "content": "Once upon a time,"}
    kept = (await page(cast.member, conversation))["messages"]
    assert [message["content"] for message in kept][1:] == ["Once upon a time, a fox slept."]
    assert kept[1]["versions"] == [str(begun.pk), ended["message"]["id"]]

    def shown() -> Any:
        place = f"/playground/conversations/{conversation.pk}/code"
        return browser(cast.member).get(place, {"message": ended["message"]["id"]}).json()["request"]

    assert (await sync_to_async(shown)())["messages"] == calls(tgi)[-1].json["messages"]


async def test_nothing_is_answered_where_nothing_is_said(cast: Cast, tgi: FakeTgi) -> None:
    conversation = await begin(cast.member)
    async with tab(cast.member) as chat:
        await chat.say(type="answer", ref="r", conversation=str(conversation.pk))
        assert (await chat.hear("failed"))["error"]["code"] == "invalid_parameter"


@pytest.mark.parametrize("parameters", [{"tools": [{"type": "function", "function": {"name": "weather"}}]}])
async def test_what_a_tool_is_called_with_is_kept_and_told(
    cast: Cast, tgi: FakeTgi, parameters: dict[str, Any]
) -> None:
    tgi.script.tool_call = ("weather", ['{"city":', ' "Seoul"}'])
    conversation = await begin(cast.member, parameters=parameters)
    async with tab(cast.member) as chat:
        started = await chat.ask(conversation.pk, "Rain?")
        ended = await chat.hear("ended")
    (call,) = ended["message"]["tool_calls"]
    assert call["function"] == {"name": "weather", "arguments": '{"city": "Seoul"}'}
    assert (await page(cast.member, conversation))["messages"][1]["tool_calls"] == [call]
    assert any(chunk.get("tool_calls") for chunk in chat.chunks(started["run"]).values())
