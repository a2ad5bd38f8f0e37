"""What is asked for on the socket has its line in the log, too."""

import json
import logging
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from config.log_format import JsonFormatter
from inference.models import Run
from tests.fakes.tgi import FakeTgi
from tests.patience import eventually
from tests.playground.cast import MODEL, Cast, conversation_of
from tests.playground.tab import tab

begin = sync_to_async(conversation_of)
CANARY = "canary-in-the-prompt"


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    records = [record for record in caplog.records if record.name == "parley.requests"]
    return [json.loads(JsonFormatter().format(record)) for record in records]


async def test_a_run_of_a_socket_has_a_line_without_its_words(
    cast: Cast, tgi: FakeTgi, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    conversation = await begin(cast.member, system_prompt=CANARY, parameters={"max_tokens": 4})
    async with tab(cast.member) as chat:
        started = await chat.ask(conversation.pk, CANARY)
        await chat.hear("ended")
    run = await Run.objects.aget(pk=started["run"])
    await eventually(lambda: lines(caplog))
    (line,) = lines(caplog)
    assert (line["request_id"], line["run_id"]) == (started["request_id"], run.pk)
    assert (line["method"], line["path"], line["status"]) == ("WS", "/ws/playground", 200)
    assert (line["model"], line["ending"], line["delivered_tokens"]) == (MODEL, "length", 4)
    assert (line["user_id"], line["cost_nano"], "key_id" in line) == (cast.member.pk, run.cost_nano, False)
    assert CANARY not in caplog.text
    assert "quick brown" not in caplog.text


async def test_what_a_socket_refuses_has_a_line(cast: Cast, tgi: FakeTgi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with tab(cast.stranger) as chat:
        await chat.say(type="send", ref="r1", conversation="nowhere", content=CANARY)
        await chat.hear("failed")
        await chat.ask("00000000-0000-0000-0000-000000000000", CANARY)
        await eventually(lambda: len(lines(caplog)) == 2)
    wrong, unknown = lines(caplog)
    assert (wrong["user_id"], wrong["status"]) == (cast.stranger.pk, 400)
    assert (unknown["status"], unknown["error"]) == (404, "not_found")
    assert CANARY not in caplog.text
