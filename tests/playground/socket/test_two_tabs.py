from typing import Any

from asgiref.sync import sync_to_async

from playground.models import Conversation
from tests.fakes.tgi import FakeTgi
from tests.playground.cast import PROJECT, Cast, browser, calls, conversation_of, page_of
from tests.playground.tab import tab

begin = sync_to_async(conversation_of)
page = sync_to_async(page_of)


def watch(*conversations: Conversation) -> dict[str, Any]:
    return {"type": "watch", "project": PROJECT, "conversations": [str(each.pk) for each in conversations]}


@sync_to_async
def delete(cast: Cast, conversation: Conversation) -> None:
    browser(cast.member).delete(f"/playground/conversations/{conversation.pk}")


async def test_a_turn_in_one_tab_is_heard_of_in_the_other(cast: Cast, tgi: FakeTgi) -> None:
    conversation = await begin(cast.member)
    async with tab(cast.member) as one, tab(cast.member) as two:
        await two.say(**watch(conversation))
        assert (await two.hear("changed"))["version"] == 1
        started = await one.ask(conversation.pk, "Hello")
        heard = await two.hear("changed")
        assert (heard["conversation"], heard["version"]) == (str(conversation.pk), started["version"])
        assert (await page(cast.member, conversation))["version"] == started["version"]
        await one.hear("ended")


async def test_a_conversation_that_is_deleted_elsewhere_is_version_nothing(cast: Cast, tgi: FakeTgi) -> None:
    conversation = await begin(cast.member)
    async with tab(cast.member) as one:
        await one.say(**watch(conversation))
        await one.hear("changed")
        await delete(cast, conversation)
        assert (await one.hear("changed"))["version"] == 0


async def test_nobody_hears_of_anothers_conversation(cast: Cast, tgi: FakeTgi) -> None:
    conversation = await begin(cast.member)
    async with tab(cast.owner) as other:
        await other.say(**watch(conversation))
        await other.hear("balance")
    assert [frame["type"] for frame in other.frames] == ["balance"]


async def test_what_was_written_on_an_older_version_is_not_sent(cast: Cast, tgi: FakeTgi) -> None:
    conversation = await begin(cast.member)
    async with tab(cast.member) as one, tab(cast.member) as two:
        first = await one.ask(conversation.pk, "First", seen=1, tab="one")
        await one.hear("ended")
        refused = await two.ask(conversation.pk, "Second", seen=1, tab="two")
        assert (refused["error"]["code"], refused["draft"]) == ("conversation_changed", "Second")
        assert len(calls(tgi)) == 1
        await two.ask(conversation.pk, "Second", seen=first["version"], tab="two")
        await two.hear("ended")
    assert [message["content"] for message in calls(tgi)[-1].json["messages"]][::2] == ["First", "Second"]


async def test_what_is_sent_is_no_draft_any_more_in_its_tab_alone(cast: Cast, tgi: FakeTgi) -> None:
    conversation = await begin(cast.member)
    await conversation.drafts.acreate(tab="one", text="Hello")
    await conversation.drafts.acreate(tab="copy", text="Hello")
    await conversation.drafts.acreate(tab="two", text="Something else")
    async with tab(cast.member) as one:
        await one.ask(conversation.pk, "Hello", tab="one")
        await one.hear("ended")
    assert (await page(cast.member, conversation))["drafts"] == {"two": "Something else"}


async def test_the_versions_of_an_answer_that_begins_are_told_with_it(cast: Cast, tgi: FakeTgi) -> None:
    conversation = await begin(cast.member)
    async with tab(cast.member) as chat:
        first = await chat.ask(conversation.pk, "Hello")
        await chat.hear("ended")
        answer = first["message"]["id"]
        await chat.say(type="regenerate", ref="r2", conversation=str(conversation.pk), message=answer)
        again = await chat.hear("started")
        await chat.hear("ended")
    assert again["message"]["versions"] == [answer, again["message"]["id"]]
    assert (await page(cast.member, conversation))["messages"][1]["versions"] == again["message"]["versions"]
