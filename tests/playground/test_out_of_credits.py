"""An answer in the browser that credits end on the way."""

from datetime import datetime

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from credits import ledger
from credits.budgets import limits
from credits.models import Account
from tests.fakes.tgi import FakeTgi
from tests.fakes.tgi_validation import templated, tokens_of
from tests.playground.cast import Cast, browser, calls, conversation_of
from tests.playground.tab import tab

pytestmark = pytest.mark.django_db(transaction=True)

NANO_PER_TOKEN = 220
PAID = 40
HELLO = [{"role": "user", "content": "Hello"}]


@sync_to_async
def leave_credits(cast: Cast, amount_nano: int) -> None:
    """Take away what the team has but for the amount."""
    balance_nano = Account.objects.get(team=cast.team).balance_nano
    ledger.correct(cast.team.pk, amount_nano - balance_nano, reason="for the tests", actor="tests")


def cost_nano(completion_tokens: int) -> int:
    return (len(tokens_of(templated(HELLO))) + completion_tokens) * NANO_PER_TOKEN


async def test_what_was_paid_for_stays_on_the_page_with_the_reason(cast: Cast, tgi: FakeTgi) -> None:
    tgi.script.default_tokens = 1_000
    conversation = await sync_to_async(conversation_of)(cast.member)
    await leave_credits(cast, cost_nano(PAID))
    async with tab(cast.member) as chat:
        started = await chat.ask(conversation.pk, "Hello")
        failed = await chat.hear("failed")
        assert (await chat.hear("balance"))["balance_nano"] == "0"
    assert failed["error"]["code"] == "insufficient_quota"
    assert failed["error"]["request_id"] == started["request_id"]
    assert failed["draft"] is None
    message = failed["message"]
    assert message["content"] == chat.text(started["run"]) == "The quick brown fox jumps over the lazy dog." * 4
    assert (message["state"], message["run"]["ending"]) == ("failed", "out_of_credits")
    assert message["run"]["completion_tokens"] == PAID

    def reloaded() -> object:
        return browser(cast.member).get(f"/playground/conversations/{conversation.pk}").json()["messages"][-1]

    assert await sync_to_async(reloaded)() == message


async def test_a_budget_that_ends_an_answer_is_told_in_its_parts(cast: Cast, tgi: FakeTgi) -> None:
    tgi.script.default_tokens = 1_000
    conversation = await sync_to_async(conversation_of)(cast.member)
    set_budget = sync_to_async(limits.set_budget)
    await set_budget(cast.team.pk, scope="team", period="day", limit_nano=cost_nano(PAID))
    async with tab(cast.member) as chat:
        await chat.ask(conversation.pk, "Hello")
        budget = (await chat.hear("failed"))["message"]["error"]["budget"]
    assert (budget["scope"], budget["period"]) == ("team", "day")
    assert datetime.fromisoformat(budget["resets_at"]) > timezone.now()


async def test_a_question_that_cannot_be_paid_is_given_back(cast: Cast, tgi: FakeTgi) -> None:
    conversation = await sync_to_async(conversation_of)(cast.member)
    await leave_credits(cast, cost_nano(31))
    async with tab(cast.member) as chat:
        await chat.ask(conversation.pk, "Hello")
        failed = await chat.hear("failed")
    assert (failed["error"]["code"], failed["draft"], failed["message"]) == ("insufficient_quota", "Hello", None)
    assert not calls(tgi)
