import asyncio
import time
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from pytest_django.fixtures import Settings

from credits import ledger
from credits.models import Account
from inference.models import Run
from playground import limits
from playground.conversations import answers
from playground.models import Conversation
from tests.fakes.tgi import FakeTgi
from tests.patience import PATIENCE_SECONDS, eventually
from tests.playground.cast import PROJECT, Cast, browser, calls, conversation_of
from tests.playground.cast import page_of as cast_page_of
from tests.playground.tab import tab

begin = sync_to_async(conversation_of)


@sync_to_async
def page_of(cast: Cast, conversation: Conversation) -> Any:
    return cast_page_of(cast.member, conversation)


@sync_to_async
def code_of(cast: Cast, conversation: Conversation, message: str) -> Any:
    return browser(cast.member).get(f"/playground/conversations/{conversation.pk}/code", {"message": message}).json()


async def test_a_chat_of_three_turns_carries_its_history(cast: Cast, tgi: FakeTgi) -> None:
    conversation = await begin(cast.member, system_prompt="Be a fox.", parameters={"max_tokens": 4})
    async with tab(cast.member) as chat:
        for turn in ("One?", "Two?", "Three?"):
            started = await chat.ask(conversation.pk, turn)
            assert (started["ref"], started["user"]["content"]) == ("r1", turn)
            ended = await chat.hear("ended")
            assert ended["message"]["content"] == chat.text(started["run"]) == "The quick brown fox"
            assert (await chat.hear("balance"))["project"] == PROJECT
    roles = [message["role"] for message in calls(tgi)[-1].json["messages"]]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    page = await page_of(cast, conversation)
    assert [message["state"] for message in page["messages"]] == ["complete"] * 6
    assert (page["title"], page["running"]) == ("One?", None)


async def test_the_summary_tells_what_the_answer_cost(cast: Cast, tgi: FakeTgi) -> None:
    conversation = await begin(cast.member, parameters={"max_tokens": 4})
    async with tab(cast.member) as chat:
        started = await chat.ask(conversation.pk, "Hello")
        run = (await chat.hear("ended"))["message"]["run"]
        balance = await chat.hear("balance")
    kept = await Run.objects.aget(pk=started["run"])
    assert (run["run"], run["request_id"]) == (kept.pk, f"req_{kept.pk}")
    assert (run["finish_reason"], run["completion_tokens"], run["counting"]) == ("length", 4, "engine")
    assert run["prompt_tokens"] == kept.prompt_tokens
    assert round(float(run["cost_dollars"]) * 1e9) == kept.cost_nano > 0
    assert int(balance["balance_nano"]) == 10_000_000_000 - kept.cost_nano
    assert run["duration_ms"] >= run["first_token_ms"] >= 0


async def test_the_code_shown_for_an_answer_is_what_the_engine_got(cast: Cast, tgi: FakeTgi) -> None:
    conversation = await begin(
        cast.member, system_prompt='It\'s "brief"\n', parameters={"temperature": 0.5, "seed": 3, "stop": ["END"]}
    )
    async with tab(cast.member) as chat:
        await chat.ask(conversation.pk, "it's <b>$HOME</b> `x` \\ 한국어")
        ended = await chat.hear("ended")
    shown = (await code_of(cast, conversation, ended["message"]["id"]))["request"]
    sent = calls(tgi)[0].json
    for name in ("messages", "temperature", "seed", "stop"):
        assert sent[name] == shown[name]
    assert shown["messages"][1]["content"] == "it's <b>$HOME</b> `x` \\ 한국어"


async def test_stop_is_heard_while_tokens_flow_and_keeps_what_came(cast: Cast, tgi: FakeTgi) -> None:
    tgi.script.endless, tgi.script.between = True, 0.01
    conversation = await begin(cast.member)
    async with tab(cast.member) as chat:
        started = await chat.ask(conversation.pk, "Go on for ever")
        await chat.hear("chunks")
        await chat.say(type="stop", run=started["run"])
        ended = await chat.hear("ended")
        await eventually(lambda: calls(tgi)[-1].closed_at, 1)
    assert ended["message"]["state"] == "stopped"
    assert ended["message"]["content"] == chat.text(started["run"]) != ""
    assert ended["message"]["run"]["ending"] == "stopped"
    page = await page_of(cast, conversation)
    assert page["messages"][1] == ended["message"]


async def test_a_reload_in_the_middle_goes_on_without_a_gap_or_a_double(cast: Cast, tgi: FakeTgi) -> None:
    tgi.script.default_tokens, tgi.script.between = 60, 0.01
    conversation = await begin(cast.member)
    async with tab(cast.member) as chat:
        started = await chat.ask(conversation.pk, "A long one")
        await chat.hear("chunks")
        await chat.hear("chunks")
    page = await page_of(cast, conversation)
    assert page["running"] == started["run"]
    assert page["messages"][1]["state"] == "running"
    async with tab(cast.member) as reloaded:
        seen = max(chat.chunks(started["run"]))
        await reloaded.say(type="attach", run=started["run"], after=seen)
        ended = await reloaded.hear("ended")
    both = chat.chunks(started["run"]) | reloaded.chunks(started["run"])
    assert min(reloaded.chunks(started["run"])) == seen + 1
    assert sorted(both) == list(range(1, len(both) + 1))
    assert "".join(both[number].get("content", "") for number in sorted(both)) == ended["message"]["content"]
    assert ended["message"]["state"] == "complete"
    assert len(calls(tgi)) == 1


async def test_an_answer_that_ended_is_replayed_and_later_told_whole(cast: Cast, tgi: FakeTgi) -> None:
    conversation = await begin(cast.member)
    async with tab(cast.member) as chat:
        started = await chat.ask(conversation.pk, "Hello")
        ended = await chat.hear("ended")
        replay = chat.text(started["run"])
    async with tab(cast.member) as again:
        await again.say(type="attach", run=started["run"], after=0)
        assert (await again.hear("ended"))["message"] == ended["message"]
        assert again.text(started["run"]) == replay
        await again.say(type="attach", run=started["run"], after=10_000)
        assert (await again.hear("ended"))["message"] == ended["message"]


async def test_a_tab_that_stays_away_ends_its_answer_after_the_grace(
    cast: Cast, tgi: FakeTgi, settings: Settings
) -> None:
    tgi.script.endless, tgi.script.between = True, 0.01
    conversation = await begin(cast.member)
    async with tab(cast.member) as chat:
        started = await chat.ask(conversation.pk, "Go on for ever")
        await chat.hear("chunks")
        settings.RECONNECT_GRACE_SECONDS = 0.3
        left_at = time.monotonic()
    await eventually(lambda: calls(tgi)[-1].closed_at, 1.3)
    assert (calls(tgi)[-1].closed_at or 0) - left_at >= 0.3
    async with tab(cast.member) as again:
        await again.say(type="attach", run=started["run"])
        ended = await again.hear("ended")
    assert (ended["message"]["state"], ended["message"]["run"]["ending"]) == ("stopped", "disconnected")
    assert ended["message"]["content"].startswith("TheThe")


async def test_each_of_many_tabs_that_stay_away_closes_its_upstream_a_second_after_the_grace(
    cast: Cast, tgi: FakeTgi, settings: Settings
) -> None:
    tgi.script.endless, tgi.script.between = True, 0.02
    left_at: dict[str, float] = {}
    together = asyncio.Barrier(8)

    async def leave(content: str) -> None:
        conversation = await begin(cast.member)
        async with tab(cast.member) as chat:
            await chat.ask(conversation.pk, content)
            await chat.hear("chunks")
            await together.wait()
            settings.RECONNECT_GRACE_SECONDS = 0.5
            left_at[content] = time.monotonic()

    await asyncio.gather(*(leave(f"tab {number}") for number in range(8)))
    await eventually(lambda: all(request.closed_at for request in calls(tgi)), 1.5)
    assert len(calls(tgi)) == 8
    for request in calls(tgi):
        assert (request.closed_at or 0) - left_at[request.json["messages"][-1]["content"]] >= 0.5


async def test_an_answer_is_kept_though_nobody_is_there_at_its_end(cast: Cast, tgi: FakeTgi) -> None:
    tgi.script.default_tokens, tgi.script.between = 20, 0.01
    conversation = await begin(cast.member)
    async with tab(cast.member) as chat:
        await chat.ask(conversation.pk, "A long one")
        kept = answers.find((await chat.hear("chunks"))["run"])
    assert kept
    await kept.final
    page = await page_of(cast, conversation)
    assert page["messages"][1]["state"] == "complete"
    assert page["messages"][1]["content"].count("quick") == 2


async def test_without_credits_nothing_is_lost_but_the_answer(cast: Cast, tgi: FakeTgi) -> None:
    conversation = await begin(cast.member)
    await ledger.acorrect(cast.team.pk, -10_000_000_000, reason="spent", actor="tests")
    async with tab(cast.member) as chat:
        started = await chat.ask(conversation.pk, "A precious thought")
        failed = await chat.hear("failed")
    assert (failed["ref"], failed["run"]) == ("r1", started["run"])
    assert failed["error"]["code"] == "insufficient_quota"
    assert failed["error"]["request_id"] == f"req_{started['run']}"
    assert (failed["message"], failed["draft"]) == (None, "A precious thought")
    page = await page_of(cast, conversation)
    assert (page["messages"], page["draft"]) == ([], "A precious thought")


async def test_a_refused_repetition_leaves_the_earlier_answer(cast: Cast, tgi: FakeTgi) -> None:
    conversation = await begin(cast.member)
    async with tab(cast.member) as chat:
        await chat.ask(conversation.pk, "Hello")
        answer = (await chat.hear("ended"))["message"]
        before = await page_of(cast, conversation)
        account = await Account.objects.aget(pk=cast.team.pk)
        await ledger.acorrect(cast.team.pk, -account.balance_nano, reason="spent", actor="tests")
        await chat.say(type="regenerate", ref="r2", conversation=str(conversation.pk), message=answer["id"])
        await chat.hear("started")
        failed = await chat.hear("failed")
    assert (failed["ref"], failed["draft"]) == ("r2", None)
    assert (await page_of(cast, conversation))["messages"] == before["messages"]


async def test_an_answer_is_repeated_and_a_question_is_edited(cast: Cast, tgi: FakeTgi) -> None:
    conversation = await begin(cast.member, parameters={"max_tokens": 2})
    async with tab(cast.member) as chat:
        first = await chat.ask(conversation.pk, "First")
        one = (await chat.hear("ended"))["message"]
        await chat.ask(conversation.pk, "Second")
        await chat.hear("ended")
        await chat.say(type="regenerate", ref="r2", conversation=str(conversation.pk), message=one["id"])
        assert (await chat.hear("started"))["user"] is None
        again = (await chat.hear("ended"))["message"]
        assert [m["content"] for m in (await page_of(cast, conversation))["messages"]] == ["First", "The quick"]
        assert again["id"] != one["id"]
        await chat.ask(conversation.pk, "Edited", replaces=first["user"]["id"])
        await chat.hear("ended")
    assert [m["content"] for m in (await page_of(cast, conversation))["messages"]] == ["Edited", "The quick"]


async def test_a_broken_engine_leaves_a_failed_answer_to_retry(cast: Cast, tgi: FakeTgi) -> None:
    tgi.script.fail_after = 3
    conversation = await begin(cast.member)
    async with tab(cast.member) as chat:
        started = await chat.ask(conversation.pk, "Hello")
        failed = await chat.hear("failed")
        assert failed["message"]["state"] == "failed"
        assert failed["message"]["content"] == "The quick brown"
        assert failed["message"]["error"] == failed["error"]
        assert failed["error"]["request_id"] == f"req_{started['run']}"
        assert "CUDA" not in str(failed)
        tgi.script.fail_after = None
        await chat.say(type="regenerate", ref="r2", conversation=str(conversation.pk), message=failed["message"]["id"])
        assert (await chat.hear("ended"))["message"]["state"] == "complete"


async def test_a_conversation_is_answered_once_at_a_time(cast: Cast, tgi: FakeTgi) -> None:
    tgi.script.endless, tgi.script.between = True, 0.01
    conversation = await begin(cast.member)
    async with tab(cast.member) as chat, tab(cast.member) as other:
        started = await chat.ask(conversation.pk, "One")
        refused = await other.ask(conversation.pk, "Two")
        assert (refused["type"], refused["error"]["code"]) == ("failed", "conversation_busy")
        assert refused["draft"] == "Two"
        await other.say(type="stop", run=started["run"])
        await chat.hear("ended")
    assert len((await page_of(cast, conversation))["messages"]) == 2


async def test_two_questions_in_the_same_instant_become_one(cast: Cast, tgi: FakeTgi) -> None:
    conversation = await begin(cast.member)
    async with tab(cast.member) as one, tab(cast.member) as two:
        first, second = await asyncio.gather(one.ask(conversation.pk, "A"), two.ask(conversation.pk, "B"))
        assert {first["type"], second["type"]} == {"started", "failed"}
        await (one if first["type"] == "started" else two).hear("ended")
    assert len((await page_of(cast, conversation))["messages"]) == 2


async def test_clearing_a_conversation_stops_its_answer(cast: Cast, tgi: FakeTgi) -> None:
    tgi.script.endless, tgi.script.between = True, 0.01
    conversation = await begin(cast.member)

    def clear() -> Any:
        return browser(cast.member).post(f"/playground/conversations/{conversation.pk}/clear").json()

    async with tab(cast.member) as chat:
        await chat.ask(conversation.pk, "Go on for ever")
        await chat.hear("chunks")
        cleared = await sync_to_async(clear)()
        assert (await chat.hear("ended"))["message"]["state"] == "stopped"
        await eventually(lambda: calls(tgi)[-1].closed_at, 1)
    assert cleared["messages"] == (await page_of(cast, conversation))["messages"] == []


async def test_the_place_in_the_queue_is_told(cast: Cast, tgi: FakeTgi) -> None:
    from inference.models import Endpoint

    await Endpoint.objects.aupdate(concurrency=1)
    tgi.script.endless, tgi.script.between = True, 0.01
    one, two = await begin(cast.member), await begin(cast.member)
    async with tab(cast.member) as chat:
        first = await chat.ask(one.pk, "One")
        await chat.hear("chunks")
        second = await chat.ask(two.pk, "Two")
        queued = await chat.hear("queued")
        assert (queued["run"], queued["position"]) == (second["run"], 1)
        await chat.say(type="stop", run=second["run"])
        assert (await chat.hear("ended"))["message"]["content"] == ""
        await chat.say(type="stop", run=first["run"])
        await chat.hear("ended")


@pytest.mark.parametrize(
    "frame",
    [
        "",
        " ",
        "{",
        "[]",
        "null",
        '"stop"',
        "{}",
        '{"type": "unknown"}',
        '{"type": 1}',
        '{"type": "send"}',
        '{"type": "send", "ref": 1, "conversation": "x", "content": "x"}',
        '{"type": "send", "ref": "r", "conversation": "x", "content": "x"}',
        '{"type": "send", "ref": "r", "conversation": "00000000-0000-0000-0000-000000000000", "content": ""}',
        '{"type": "send", "ref": "r", "conversation": "00000000-0000-0000-0000-000000000000", "content": "x"}',
        '{"type": "attach", "run": "x", "after": 0}',
        '{"type": "attach", "run": "00000000000000000000000000000000", "after": -1}',
        '{"type": "attach", "run": "00000000000000000000000000000000", "after": 1e400}',
        '{"type": "stop", "run": "00000000000000000000000000000000"}',
        '{"type": "watch", "project": "../.."}',
        '{"type": "watch", "project": "elsewhere/inference"}',
        '{"type": "stop", "run": "\\ud800"}',
        "[" * 100_000,
    ],
)
async def test_a_malformed_frame_is_answered_and_the_socket_lives_on(cast: Cast, tgi: FakeTgi, frame: str) -> None:
    async with tab(cast.member) as chat:
        await chat.socket.send_input({"type": "websocket.receive", "text": frame})
        assert (await chat.hear("failed"))["error"]["type"] == "invalid_request_error"
        await chat.say(type="watch", project=PROJECT)
        assert (await chat.hear("balance"))["balance_nano"] == "10000000000"


@pytest.mark.parametrize(
    ("message", "code"),
    [({"bytes": b"\0\1"}, 1003), ({"text": "x" * (limits.MAX_FRAME_CHARACTERS + 1)}, 1009)],
)
async def test_a_frame_that_is_too_big_or_binary_closes_the_socket(
    cast: Cast, tgi: FakeTgi, message: dict[str, Any], code: int
) -> None:
    async with tab(cast.member) as chat:
        await chat.socket.send_input({"type": "websocket.receive", **message})
        assert await chat.socket.receive_output(timeout=PATIENCE_SECONDS) == {"type": "websocket.close", "code": code}
