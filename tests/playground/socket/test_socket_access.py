from typing import Any

import pytest
from asgiref.sync import sync_to_async
from pytest_django.fixtures import Settings

from playground import limits
from tests.fakes.tgi import FakeTgi
from tests.playground.cast import PROJECT, Cast, calls, conversation_of, page_of, say
from tests.playground.tab import tab

begin = sync_to_async(conversation_of)
add = sync_to_async(say)

# What is said about the member's conversation and run, by whom, and what is heard.
TABLE = [
    ("send", "member", "started"),
    ("send", "owner", "not_found"),
    ("send", "viewer", "not_found"),
    ("send", "stranger", "not_found"),
    ("regenerate", "member", "started"),
    ("regenerate", "owner", "not_found"),
    ("regenerate", "stranger", "not_found"),
    ("stop", "owner", "not_found"),
    ("stop", "viewer", "not_found"),
    ("stop", "stranger", "not_found"),
    ("attach", "member", "ended"),
    ("attach", "owner", "not_found"),
    ("attach", "viewer", "not_found"),
    ("attach", "stranger", "not_found"),
    ("watch", "member", "balance"),
    ("watch", "owner", "balance"),
    ("watch", "viewer", "balance"),
    ("watch", "stranger", "not_found"),
]


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("row", TABLE, ids=" ".join)
async def test_everyone_reaches_what_is_theirs_and_no_more(
    cast: Cast, tgi: FakeTgi, row: tuple[str, str, str], in_memory: bool
) -> None:
    action, person, result = row
    conversation = await begin(cast.member)
    run, message = "0" * 32, ""
    if in_memory:
        async with tab(cast.member) as chat:
            run = (await chat.ask(conversation.pk, "private words"))["run"]
            message = (await chat.hear("ended"))["message"]["id"]
    else:
        await add(conversation, "user", "private words")
        answer = await add(conversation, "assistant", "private words", run=run)
        message = str(answer.pk)
    own = {"ref": "r", "conversation": str(conversation.pk)}
    said: dict[str, dict[str, Any]] = {
        "send": {**own, "content": "Mine now?"},
        "regenerate": {**own, "message": message},
        "stop": {"run": run},
        "attach": {"run": run, "after": 0},
        "watch": {"project": PROJECT},
    }
    async with tab(getattr(cast, person)) as chat:
        await chat.say(type=action, **said[action])
        heard = await chat.hear("failed", "started", "ended", "balance")
        assert (heard["error"]["code"] if heard["type"] == "failed" else heard["type"]) == result
        if person != "member":
            assert "private words" not in str(chat.frames)
        elif heard["type"] == "started":
            await chat.hear("ended")


async def test_a_viewer_may_not_call(cast: Cast, tgi: FakeTgi) -> None:
    conversation = await begin(cast.viewer)
    async with tab(cast.viewer) as chat:
        refusal = await chat.ask(conversation.pk, "May I?")
    assert (refusal["error"]["code"], refusal["draft"]) == ("role_may_not_call", "May I?")
    assert not calls(tgi)


async def test_the_answers_relayed_on_one_socket_are_bounded(cast: Cast, tgi: FakeTgi, settings: Settings) -> None:
    tgi.script.endless, tgi.script.between = True, 0.05
    async with tab(cast.member) as chat:
        for _ in range(limits.MAX_RUNS_PER_SOCKET):
            assert (await chat.ask((await begin(cast.member)).pk, "Go on"))["type"] == "started"
        refusal = await chat.ask((await begin(cast.member)).pk, "One more")
        assert (refusal["error"]["code"], refusal["draft"]) == ("limit_reached", "One more")
        # Nothing is waited for in the end.
        settings.RECONNECT_GRACE_SECONDS = 0


async def test_a_conversation_goes_on_after_its_process_was_killed_in_the_middle_of_an_answer(
    cast: Cast, tgi: FakeTgi
) -> None:
    conversation = await begin(cast.member)
    question = await add(conversation, "user", "Hello")
    earlier = await add(conversation, "assistant", "An earlier version", parent=question)
    lost = await add(conversation, "assistant", "", parent=question, state="running", run="0" * 32)
    async with tab(cast.member) as chat:
        await chat.say(type="attach", run="0" * 32, after=3)
        assert (await chat.hear("ended"))["message"]["state"] == "stopped"
        await chat.ask(conversation.pk, "And now?")
        await chat.hear("ended")
    page = await sync_to_async(page_of)(cast.member, conversation)
    assert [message["state"] for message in page["messages"]] == ["complete", "stopped", "complete", "complete"]
    assert page["messages"][1]["versions"] == [str(earlier.pk), str(lost.pk)]
