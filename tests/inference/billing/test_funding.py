"""What is set aside before a run begins: enough for all that it may cost, and no reason to refuse what can be paid."""

import pytest
from asgiref.sync import sync_to_async
from pytest_django.fixtures import Settings

from accounts.caller import Caller
from credits import ledger
from credits.models import Hold
from inference.errors import ContextExceeded, UnsupportedParameter
from inference.models import Endpoint, Model
from tests.fakes.openai_server import FakeLlamaCpp
from tests.fakes.tgi import FakeTgi
from tests.inference.listening import begun
from tests.inference.payers import balance, bound_nano, finish, grant, limit_project, paths, refused, start
from tests.inference.scenes import CONTEXT_TOKENS, asked, cost_nano, prompt_tokens, register

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]

TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]


async def test_a_balance_below_the_bound_but_enough_for_the_counted_prompt_is_answered(
    pauper: Caller, tgi: FakeTgi
) -> None:
    await grant(pauper, cost_nano(4))
    text, receipt = await finish(start(pauper, max_tokens=4))
    assert text == "The quick brown fox"
    assert paths(tgi) == ["/chat_tokenize", "/v1/chat/completions"]
    assert receipt.held_nano == receipt.cost_nano == cost_nano(4)
    assert await balance(pauper) == 0


async def test_a_balance_above_the_bound_asks_nobody(pauper: Caller, tgi: FakeTgi) -> None:
    await grant(pauper, await bound_nano(4))
    await finish(start(pauper, max_tokens=4))
    assert paths(tgi) == ["/v1/chat/completions"]


async def test_one_nano_too_little_for_a_whole_limit_is_refused(pauper: Caller, tgi: FakeTgi) -> None:
    await grant(pauper, cost_nano(4) - 1)
    refusal = await refused(start(pauper, max_tokens=4))
    assert (refusal.needed_nano, refusal.available_nano) == (cost_nano(4), cost_nano(4) - 1)
    assert not asked(tgi)


async def test_without_a_limit_a_slice_is_held_and_not_the_context(
    caller: Caller, tgi: FakeTgi, settings: Settings
) -> None:
    settings.SLICE_TOKENS = 100
    tgi.script.silent_after = 1
    run = start(caller)
    await begun(run)
    assert (await Hold.objects.aget()).amount_nano == await bound_nano(100)
    assert "max_tokens" not in asked(tgi)[0].json
    run.stop()
    assert (await run.ended()).held_nano == await bound_nano(100)


async def test_a_limit_too_large_to_be_held_whole_is_held_by_slices(
    caller: Caller, tgi: FakeTgi, settings: Settings
) -> None:
    settings.HOLD_WHOLE_TOKENS, settings.SLICE_TOKENS = 300, 100
    tgi.script.silent_after = 1
    for limit, held in ((300, 300), (301, 100)):
        run = start(caller, max_tokens=limit)
        await begun(run)
        assert (await Hold.objects.aget(state="open")).amount_nano == await bound_nano(held)
        assert asked(tgi)[-1].json["max_tokens"] == limit
        run.stop()
        await run.ended()


async def test_a_limit_beyond_the_context_is_held_by_slices(caller: Caller, tgi: FakeTgi, settings: Settings) -> None:
    settings.HOLD_WHOLE_TOKENS, settings.SLICE_TOKENS = 2 * CONTEXT_TOKENS, 100
    tgi.script.silent_after = 1
    for limit, held in ((CONTEXT_TOKENS - 1, CONTEXT_TOKENS - 1), (CONTEXT_TOKENS, 100)):
        tgi.max_total_tokens = 2 * CONTEXT_TOKENS
        run = start(caller, max_tokens=limit)
        await begun(run)
        assert (await Hold.objects.aget(state="open")).amount_nano == await bound_nano(held)
        run.stop()
        await run.ended()


async def test_a_limit_is_told_to_the_engine_as_it_was_given(caller: Caller, tgi: FakeTgi) -> None:
    run = start(caller, max_tokens=1_000_000)
    with pytest.raises(ContextExceeded, match="1000000 `max_tokens`") as refused:
        await begun(run)
    assert refused.value.param == "max_tokens"
    assert (await run.ended()).cost_nano == 0


async def test_less_than_a_minimum_answer_is_refused_before_the_engine_hears_of_it(
    pauper: Caller, tgi: FakeTgi, settings: Settings
) -> None:
    least = settings.MINIMUM_ANSWER_TOKENS
    await grant(pauper, cost_nano(least) - 1)
    refusal = await refused(start(pauper))
    assert refusal.needed_nano == cost_nano(least)
    assert not asked(tgi)
    await grant(pauper, 1)
    tgi.script.default_tokens = least - 1
    _, receipt = await finish(start(pauper))
    assert receipt.ending == "stop"
    assert await balance(pauper) == 0


async def test_a_small_limit_needs_no_more_than_itself(pauper: Caller, tgi: FakeTgi) -> None:
    await grant(pauper, cost_nano(2))
    for fits in (True, False):
        run = start(pauper, fits=fits, max_tokens=2)
        await begun(run)
        run.stop()
        assert (await run.ended()).held_nano == cost_nano(2)
    assert len(asked(tgi)) == 2


async def test_an_answer_is_made_to_fit_where_that_was_asked_for(pauper: Caller, tgi: FakeTgi) -> None:
    await grant(pauper, cost_nano(50))
    text, receipt = await finish(start(pauper, fits=True, max_tokens=1_000))
    assert asked(tgi)[0].json["max_tokens"] == receipt.clamped_to == 50
    assert text == "The quick brown fox jumps over the lazy dog." * 5
    assert (receipt.ending, receipt.ran_out, receipt.cost_nano) == ("length", False, cost_nano(50))
    assert await balance(pauper) == 0


async def test_an_answer_that_fits_is_left_as_it_was_asked_for(caller: Caller, tgi: FakeTgi) -> None:
    for fields, limit in (({"max_tokens": 20}, 20), ({}, None)):
        _, receipt = await finish(start(caller, fits=True, **fields))
        assert asked(tgi)[-1].json.get("max_tokens") == limit
        assert receipt.clamped_to is None


async def test_an_answer_is_not_made_to_fit_below_the_minimum(pauper: Caller, tgi: FakeTgi, settings: Settings) -> None:
    await grant(pauper, cost_nano(settings.MINIMUM_ANSWER_TOKENS) - 1)
    await refused(start(pauper, fits=True, max_tokens=1_000))
    assert not asked(tgi)


async def test_an_answer_has_no_more_than_its_prompt_leaves_of_the_context(pauper: Caller, tgi: FakeTgi) -> None:
    room = CONTEXT_TOKENS - prompt_tokens()
    await grant(pauper, cost_nano(room))
    for clamped_to in (None, room - 1):
        tgi.script.silent_after = 1
        run = start(pauper, fits=True)
        await begun(run)
        assert run.receipt.clamped_to == clamped_to
        assert asked(tgi)[-1].json.get("max_tokens") == clamped_to
        run.stop()
        await run.ended()
        await ledger.acorrect(pauper.team_id, -1, reason="for the tests", actor="tests")


async def test_an_answer_that_may_call_tools_is_made_to_fit_without_asking(pauper: Caller, tgi: FakeTgi) -> None:
    tgi.script.tool_call = ("weather", ['{"city":', '"Oslo"}'])
    await grant(pauper, cost_nano(40, tools=TOOLS))
    run = start(pauper, tools=TOOLS)
    await begun(run)
    assert (await Hold.objects.aget()).amount_nano == cost_nano(40, tools=TOOLS)
    _, receipt = await finish(run)
    assert asked(tgi)[0].json["max_tokens"] == receipt.clamped_to == 40
    assert receipt.ending == "tool_calls"


async def test_tools_that_nobody_would_read_are_refused_before_anything_is_held(caller: Caller) -> None:
    with FakeLlamaCpp(supports_tools=False) as server:
        await sync_to_async(register)(server, Endpoint.Kind.LLAMACPP)
        with pytest.raises(UnsupportedParameter, match="no place for tools"):
            await begun(start(caller, tools=TOOLS))
    assert not await Hold.objects.aexists()


async def test_tools_with_a_limit_of_their_own_are_held_whole(pauper: Caller, tgi: FakeTgi) -> None:
    await grant(pauper, cost_nano(40, tools=TOOLS) - 1)
    await refused(start(pauper, tools=TOOLS, max_tokens=40))
    assert not asked(tgi)
    _, receipt = await finish(start(pauper, tools=TOOLS, max_tokens=39))
    assert receipt.clamped_to is None


async def test_a_budget_that_leaves_too_little_is_named(caller: Caller, tgi: FakeTgi) -> None:
    await limit_project(caller, cost_nano(10))
    refusal = await refused(start(caller))
    assert "budget of the project" in refusal.message
    assert not asked(tgi)


async def test_a_prompt_with_an_image_is_held_as_the_engine_counts_it(caller: Caller, tgi: FakeTgi) -> None:
    # To the fake, an address is words: more of them than an image is bounded with.
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "a+" * 500}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]
    await Model.objects.aupdate(modalities=["text", "image"], image_tokens=10)
    _, receipt = await finish(start(caller, messages=messages, max_tokens=4))
    assert paths(tgi) == ["/chat_tokenize", "/v1/chat/completions"]
    assert receipt.usage.prompt_tokens > 1_000
    assert receipt.held_nano == receipt.cost_nano
