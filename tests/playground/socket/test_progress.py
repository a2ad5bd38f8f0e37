"""What was said stays said, though the process is killed or the database is away."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection

from inference.models import Run
from playground.models import Conversation, Message
from tests.fakes.tgi import FakeTgi
from tests.patience import eventually
from tests.playground.cast import Cast, browser, conversation_of, page_of, say
from tests.playground.tab import tab

begin = sync_to_async(conversation_of)
page = sync_to_async(page_of)


@contextmanager
def full_disk() -> Iterator[None]:
    """Have no message written."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TRIGGER disk_full BEFORE UPDATE ON playground_message BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER IF EXISTS disk_full")


def recovered(cast: Cast, message: Message, content: str) -> Any:
    place = f"/playground/conversations/{message.conversation_id}/messages/{message.pk}/recovered"
    body = json.dumps({"content": content})
    assert browser(cast.member).post(place, body, content_type="application/json").status_code == 204
    return page_of(cast.member, message.conversation)["messages"][-1]


async def test_an_answer_is_written_down_while_it_comes(cast: Cast, tgi: FakeTgi) -> None:
    tgi.script.endless, tgi.script.between = True, 0.01
    conversation = await begin(cast.member)
    async with tab(cast.member) as chat:
        started = await chat.ask(conversation.pk, "Go on for ever")

        async def is_kept() -> bool:
            message = await Message.objects.aget(pk=started["message"]["id"])
            return message.state == "running" and message.content.startswith("The")

        await eventually(is_kept)
        await chat.say(type="stop", run=started["run"])
        ended = await chat.hear("ended")
    assert (await page(cast.member, conversation))["messages"][1] == ended["message"]


async def test_an_answer_that_cannot_be_written_down_says_so_and_is_tried_again(cast: Cast, tgi: FakeTgi) -> None:
    conversation = await begin(cast.member)
    disk = full_disk()
    await sync_to_async(disk.__enter__)()
    async with tab(cast.member) as chat:
        await chat.ask(conversation.pk, "Hello")
        failed = await chat.hear("failed")
    await sync_to_async(disk.__exit__)(None, None, None)
    assert (failed["error"]["code"], failed["message"]["error"]["code"]) == ("answer_not_saved", "answer_not_saved")
    assert failed["message"]["content"].startswith("The quick brown fox")

    async def is_kept() -> bool:
        message = (await page(cast.member, conversation))["messages"][1]
        return bool(message["content"] == failed["message"]["content"] and message["state"] == "complete")

    await eventually(is_kept)


def lost(conversation: Conversation) -> Message:
    say(conversation, "user", "Hello")
    return say(conversation, "assistant", "The quick", state="running", run="0" * 32)


def test_a_killed_process_leaves_the_text_and_the_truth(cast: Cast) -> None:
    conversation = conversation_of(cast.member)
    lost(conversation)
    message = page_of(cast.member, conversation)["messages"][-1]
    assert (message["content"], message["state"]) == ("The quick", "stopped")
    assert (message["run"]["ending"], message["run"]["cost_dollars"]) == ("lost", None)


def test_a_page_gives_back_what_it_had_read_beyond_that_and_nothing_else(cast: Cast) -> None:
    conversation = conversation_of(cast.member)
    message = lost(conversation)
    assert recovered(cast, message, "Something else")["content"] == "The quick"
    assert recovered(cast, message, "The quick brown")["content"] == "The quick brown"
    assert recovered(cast, message, "The")["content"] == "The quick brown"
    Message.objects.filter(pk=message.pk).update(state="complete", summary={"ending": "stop"})
    assert recovered(cast, message, "The quick brown fox")["content"] == "The quick brown"


def test_where_the_charge_was_written_its_receipt_is_what_is_told(cast: Cast, tgi: FakeTgi) -> None:
    from django.utils import timezone

    from inference.models import Price

    conversation = conversation_of(cast.member)
    message = lost(conversation)
    now = timezone.now()
    Run.objects.create(
        id=message.run,
        project=conversation.project,
        user=cast.member,
        model_id=conversation.model,
        price=Price.objects.get(),
        started_at=now,
        ended_at=now,
        ending="shutdown",
        delivered_tokens=2,
        cost_nano=1_000,
    )
    run = page_of(cast.member, conversation)["messages"][-1]["run"]
    assert (run["ending"], run["completion_tokens"], run["cost_dollars"]) == ("shutdown", 2, "0.000001")
