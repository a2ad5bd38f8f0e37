"""One Idempotency-Key is one generation and one charge, however often it is sent, and whenever."""

import asyncio
import json
import re
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx2
import openai
import pytest
from django.utils import timezone
from openai import OpenAI
from pytest_django.fixtures import Settings

from accounts import keys
from accounts.models import Team, User
from credits import ledger
from credits.models import Hold
from inference.models import IdempotencyKey, Run
from tests.api.process import Process
from tests.api.scenes import Connect, balance, body, charges, events, said, the_run
from tests.fakes.script import Script
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import DOLLAR, asked, cost_nano
from tests.patience import PATIENCE_SECONDS, until, within
from tests.server import Server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]

KEY = "order-4711"
Ask = Callable[..., httpx2.Response]


@pytest.fixture
def ask(raw: httpx2.Client) -> Ask:
    """Ask once, with an Idempotency-Key."""

    def post(idempotency_key: str = KEY, **fields: Any) -> httpx2.Response:
        headers = {"idempotency-key": idempotency_key}
        return raw.post("/v1/chat/completions", json=body(**fields), headers=headers)

    return post


def ask_at_once(urls: list[str], api_key: str, count: int, **fields: Any) -> list[httpx2.Response]:
    """Ask so many times in the same moment with one Idempotency-Key, at the addresses in turn."""

    async def ask_all() -> list[httpx2.Response]:
        headers = {"authorization": f"Bearer {api_key}", "idempotency-key": KEY}
        async with httpx2.AsyncClient(headers=headers, timeout=60) as client:
            asking = (
                client.post(f"{urls[number % len(urls)]}/v1/chat/completions", json=body(**fields))
                for number in range(count)
            )
            return await asyncio.gather(*asking)

    return asyncio.run(ask_all())


def check_one_of(answers: list[httpx2.Response], tgi: FakeTgi, team: Team, tokens: int) -> None:
    """All got the same answer, which was generated once and charged once."""
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers["x-request-id"] for answer in answers}) == len(answers)
    assert len([answer for answer in answers if "idempotent-replayed" not in answer.headers]) == 1
    assert len(asked(tgi)) == 1
    # A stream that broke off is charged behind its end.
    until(lambda: charges(team))
    assert charges(team) == [cost_nano(tokens)]
    assert Run.objects.count() == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_fifty_at_once_are_one_generation_one_charge_and_fifty_equal_answers(
    site: Server, api_key: str, tgi: FakeTgi, funded: Team, stream: bool
) -> None:
    tgi.script.between = 0.02
    check_one_of(ask_at_once([site.url], api_key, 50, stream=stream), tgi, funded, 11)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_fifty_at_once_at_two_processes_are_one_generation_too(
    site: Server, api_key: str, tgi: FakeTgi, funded: Team, stream: bool
) -> None:
    tgi.script.between = 0.02
    with Process() as other:
        check_one_of(ask_at_once([site.url, other.url], api_key, 50, stream=stream), tgi, funded, 11)


@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}])
def test_the_answer_can_be_had_again_after_its_end(
    ask: Ask, tgi: FakeTgi, funded: Team, fields: dict[str, Any]
) -> None:
    check_one_of([ask(**fields), ask(**fields), ask(**fields)], tgi, funded, 11)


def test_the_answer_survives_its_process(site: Server, api_key: str, tgi: FakeTgi, funded: Team, ask: Ask) -> None:
    with Process() as first:
        answers = ask_at_once([first.url], api_key, 1, stream=True)
    check_one_of([*answers, ask(stream=True)], tgi, funded, 11)


def test_everything_an_answer_is_made_of_comes_back(ask: Ask, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.answer = ["née", " 🦊", "\u2028", "\x00", '\n"\\']
    for stream in (False, True):
        first, second = (ask(f"words {stream}", logprobs=True, top_logprobs=2, stream=stream) for _ in range(2))
        assert b'"top_logprobs":[{' in first.content
        assert first.content == second.content
    tgi.script.tool_call = ("weather", ['{"city":', '"Paris"}'])
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    for stream in (False, True):
        first, second = (ask(f"tool {stream}", tools=tools, stream=stream) for _ in range(2))
        assert first.status_code == 200
        assert first.content == second.content
    assert len(asked(tgi)) == 4


def test_the_key_with_another_body_is_a_conflict(ask: Ask, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.between = 0.05
    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: asked(tgi))
    # While it is being answered, and afterwards; to stream it is another request too.
    refusals = [ask(seed=1), ask(stream=True)]
    asking.join()
    refusals += [ask(seed=1), ask(stream=True)]
    for refusal in refusals:
        assert refusal.status_code == 409
        assert refusal.json()["error"]["code"] == "idempotency_key_reused"
        # The official clients would try again otherwise.
        assert refusal.headers["x-should-retry"] == "false"
    assert ask().status_code == 200
    assert len(asked(tgi)) == 1


def test_the_same_key_of_another_project_person_or_api_key_is_another_one(
    raw: httpx2.Client, tgi: FakeTgi, funded: Team, owner: User, member: User
) -> None:
    research = funded.projects.create(slug="research")
    inference = funded.projects.get(slug="inference")
    callers = [(member, inference), (member, inference), (member, research), (owner, inference)]
    secrets = [keys.create(name="k", issuer=who, team=funded, project=where)[1] for who, where in callers]
    headers = [{"authorization": f"Bearer {secret}", "idempotency-key": KEY} for secret in secrets]
    answers = [raw.post("/v1/chat/completions", json=body(), headers=each) for each in headers]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len({answer.json()["id"] for answer in answers}) == 4
    assert len(asked(tgi)) == 4


@pytest.mark.parametrize("key", ["", "k" * 256, "clé", "tab\tbed"])
def test_a_key_that_is_none_is_refused(raw: httpx2.Client, tgi: FakeTgi, funded: Team, key: str) -> None:
    headers = {b"idempotency-key": key.encode("latin-1")}
    refusal = raw.post("/v1/chat/completions", json=body(), headers=headers)
    assert refusal.status_code == 400
    assert (refusal.json()["error"]["code"], refusal.json()["error"]["param"]) == (
        "invalid_parameter",
        "Idempotency-Key",
    )
    assert not asked(tgi)


@pytest.mark.parametrize("key", ["k", "k" * 255, 'with "all" (kinds) of ~signs~, even spaces'])
def test_a_key_is_the_callers_own_text(ask: Ask, tgi: FakeTgi, funded: Team, key: str) -> None:
    assert ask(key).content == ask(key).content


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_what_was_refused_can_be_asked_again(ask: Ask, tgi: FakeTgi, team: Team, stream: bool) -> None:
    assert ask(stream=stream).status_code == 402
    ledger.grant(team.pk, DOLLAR, reason="for the tests", actor="tests")
    tgi.script.overloaded = True
    assert ask(stream=stream).status_code == 503
    tgi.script.overloaded = False
    tgi.script.fail_after = 0
    assert ask(stream=stream).status_code == 500
    tgi.script.fail_after = None
    assert ask(model="fable/owl-1b", stream=stream).status_code == 404
    until(lambda: not IdempotencyKey.objects.exists())
    answer = ask(stream=stream)
    assert answer.status_code == 200
    assert "idempotent-replayed" not in answer.headers
    assert charges(team) == [cost_nano(11)]


def test_fifty_refused_at_once_are_all_told_why(site: Server, api_key: str, tgi: FakeTgi, team: Team) -> None:
    refusals = ask_at_once([site.url], api_key, 50)
    assert {refusal.status_code for refusal in refusals} == {402}
    assert not asked(tgi)
    until(lambda: not IdempotencyKey.objects.exists())


def test_a_stream_that_broke_off_breaks_off_again_in_the_same_words(ask: Ask, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.fail_after = 4
    first = ask(stream=True)
    tgi.script.fail_after = None
    again = ask(stream=True)
    check_one_of([first, again], tgi, funded, 4)
    assert said(events(again.text)) == "The quick brown fox"
    assert events(again.text)[-1]["error"]["code"] == "server_error"


def test_a_whole_answer_that_broke_off_costs_nothing_and_can_be_asked_again(
    ask: Ask, tgi: FakeTgi, funded: Team
) -> None:
    tgi.script.fail_after = 4
    assert ask().status_code == 500
    tgi.script.fail_after = None
    assert ask().status_code == 200
    assert charges(funded) == [cost_nano(11)]


def test_who_vanishes_and_asks_again_in_time_misses_nothing_and_gets_nothing_twice(
    connect: Connect, ask: Ask, tgi: FakeTgi, funded: Team
) -> None:
    tgi.script.between = 0.05
    with connect(body(stream=True, max_tokens=30), headers={"Idempotency-Key": KEY}) as wire:
        wire.read_words(3)
    again = ask(stream=True, max_tokens=30)
    assert again.headers["idempotent-replayed"] == "true"
    assert said(events(again.text)) == "The quick brown fox jumps over the lazy dog." * 3
    heard = re.findall(rb"data: .*\n\n", wire.received)
    assert len(heard) > 3
    assert again.content.startswith(b"".join(heard))
    assert charges(funded) == [cost_nano(30)]
    assert ask(stream=True, max_tokens=30).content == again.content
    assert len(asked(tgi)) == 1


def test_a_whole_answer_goes_on_while_its_client_comes_back(
    connect: Connect, ask: Ask, tgi: FakeTgi, funded: Team
) -> None:
    tgi.script.between = 0.05
    with connect(body(), headers={"Idempotency-Key": KEY}):
        until(lambda: asked(tgi) and asked(tgi)[0].tokens_sent)
    assert ask().json()["choices"][0]["message"]["content"] == "The quick brown fox jumps over the lazy dog."
    assert charges(funded) == [cost_nano(11)]
    assert len(asked(tgi)) == 1


def test_who_comes_back_too_late_gets_what_was_kept_and_hears_why_it_ends(
    connect: Connect, ask: Ask, tgi: FakeTgi, funded: Team, settings: Settings
) -> None:
    tgi.script.silent_after = 4
    with connect(body(stream=True), headers={"Idempotency-Key": KEY}) as wire:
        wire.read_words(4)
        settings.RECONNECT_GRACE_SECONDS = 0.1
    assert the_run().ending == "disconnected"
    for answer in (ask(stream=True), ask(stream=True)):
        assert said(events(answer.text)) == "The quick brown fox"
        assert events(answer.text)[-1]["error"]["code"] == "reader_too_slow"
    assert charges(funded) == [cost_nano(4)]


def test_a_whole_answer_that_nobody_waited_for_costs_nothing_and_can_be_asked_again(
    connect: Connect, ask: Ask, tgi: FakeTgi, funded: Team, settings: Settings
) -> None:
    tgi.script.silent_after = 4
    with connect(body(), headers={"Idempotency-Key": KEY}):
        until(lambda: asked(tgi) and asked(tgi)[0].tokens_sent == 4)
        settings.RECONNECT_GRACE_SECONDS = 0.1
    assert (the_run().ending, the_run().cost_nano) == ("disconnected", 0)
    tgi.script.silent_after = None
    assert ask().status_code == 200
    assert charges(funded) == [cost_nano(11)]


def test_a_killed_process_leaves_its_key_to_another(
    site: Server, api_key: str, tgi: FakeTgi, funded: Team, settings: Settings
) -> None:
    settings.IDEMPOTENCY_LEASE_SECONDS = 1
    tgi.script.silent_after = 3
    first = Process(IDEMPOTENCY_LEASE_SECONDS="1")
    headers = {"authorization": f"Bearer {api_key}", "idempotency-key": KEY}
    with httpx2.stream(
        "POST", f"{first.url}/v1/chat/completions", json=body(stream=True), headers=headers, timeout=PATIENCE_SECONDS
    ) as answer:
        next(answer.iter_raw())
        # The script of the requests that follow; the one under way stays silent.
        tgi.script = Script()
        first.kill()
    answers = ask_at_once([site.url], api_key, 3, stream=True)
    assert len({answer.content for answer in answers}) == 1
    assert said(events(answers[0].text)) == "The quick brown fox jumps over the lazy dog."
    assert len(asked(tgi)) == 2
    assert charges(funded) == [cost_nano(11)]
    # The hold of the killed process expires by itself.
    Hold.objects.filter(state=Hold.State.OPEN).update(expires_at=timezone.now() - timedelta(seconds=1))
    ledger.touch(funded.pk)
    assert balance(funded) == DOLLAR - cost_nano(11)


def test_a_run_that_is_long_in_coming_is_not_taken_for_dead(
    site: Server, api_key: str, tgi: FakeTgi, funded: Team, settings: Settings
) -> None:
    settings.IDEMPOTENCY_LEASE_SECONDS = 3
    tgi.script.before_first = 5
    with Process(IDEMPOTENCY_LEASE_SECONDS="3") as other:
        check_one_of(ask_at_once([site.url, other.url], api_key, 10), tgi, funded, 11)


def test_an_answer_is_forgotten_after_its_time(ask: Ask, tgi: FakeTgi, funded: Team) -> None:
    first, other = ask(), ask("another")
    IdempotencyKey.objects.update(expires_at=timezone.now())
    again = ask()
    assert again.json()["id"] not in (first.json()["id"], other.json()["id"])
    # Whoever claims a key clears away what is over.
    until(lambda: [row.run for row in IdempotencyKey.objects.all()] == [again.json()["id"].partition("-")[2]])


def test_a_revoked_key_gets_nothing_that_was_kept(ask: Ask, api_key: str, tgi: FakeTgi, funded: Team) -> None:
    assert ask().status_code == 200
    funded.api_keys.get().revoke()
    within(2, lambda: ask().status_code == 401)


def test_an_answer_that_the_credits_cut_short_is_cut_short_again(
    ask: Ask, tgi: FakeTgi, team: Team, settings: Settings
) -> None:
    settings.SLICE_TOKENS = 20
    tgi.script.answer = ["word "] * 500
    ledger.grant(team.pk, cost_nano(100), reason="for the tests", actor="tests")
    first, second = ask(), ask()
    assert first.headers["parley-stopped-by"] == second.headers["parley-stopped-by"] == "insufficient_quota"
    assert first.json()["choices"][0]["finish_reason"] == "length"
    assert first.content == second.content
    assert len(charges(team)) == 1


def test_the_official_client_sends_a_key(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    create = client.chat.completions.create
    answers = [create(**body(), extra_headers={"Idempotency-Key": KEY}) for _ in range(2)]
    assert answers[0] == answers[1]
    with pytest.raises(openai.ConflictError, match="another request"):
        create(**body(seed=1), extra_headers={"Idempotency-Key": KEY})
    assert len(asked(tgi)) == 1


def test_without_a_key_nothing_is_kept(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    answers = [raw.post("/v1/chat/completions", json=body()) for _ in range(2)]
    assert len({json.loads(answer.content)["id"] for answer in answers}) == 2
    assert not IdempotencyKey.objects.exists()
