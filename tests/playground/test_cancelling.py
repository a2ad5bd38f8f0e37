"""An answer that is stopped at any token: what was said is charged, to the token, and no output is no charge."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from pytest_django.fixtures import Settings

from credits.models import Account, Hold
from inference.models import Run
from playground.models import Conversation
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import prompt_tokens
from tests.patience import eventually
from tests.playground.cast import Cast, calls, conversation_of
from tests.playground.tab import tab

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]

LAST = 100
GRANTED_NANO = 10_000_000_000
# Of every token, as the catalogue of these tests has it.
TOKEN_NANO = 220


@pytest.mark.parametrize("parameters", [{"max_tokens": LAST}, {}], ids=["held whole", "by slices"])
@pytest.mark.parametrize("count", [0, 1, 10, LAST // 2, LAST])
async def test_who_stops_an_answer_pays_for_what_was_said(
    cast: Cast, tgi: FakeTgi, settings: Settings, count: int, parameters: dict[str, Any]
) -> None:
    settings.SLICE_TOKENS = LAST // 2
    tgi.script.default_tokens, tgi.script.silent_after = LAST, count
    conversation: Conversation = await sync_to_async(conversation_of)(cast.member, parameters=parameters)
    async with tab(cast.member) as chat:
        started = await chat.ask(conversation.pk, "Who jumps?")
        await eventually(lambda: calls(tgi))
        while len(chat.chunks(started["run"])) < count:
            await chat.hear("chunks")
        await chat.say(type="stop", run=started["run"])
        ended = await chat.hear("ended")
    run = await Run.objects.aget()
    cost_nano = TOKEN_NANO * (prompt_tokens(calls(tgi)[0].json["messages"]) + count) if count else 0
    assert (ended["message"]["state"], run.ending) == ("stopped", "stopped")
    assert (run.delivered_tokens, run.cost_nano) == (count, cost_nano)
    assert (await Account.objects.aget(team=cast.team)).balance_nano == GRANTED_NANO - cost_nano
    assert not await Hold.objects.filter(state=Hold.State.OPEN).aexists()
