"""Credits, when many ask for them in the same moment, and when engines break."""

import asyncio
from contextlib import ExitStack
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pytest_django.fixtures import Settings

from accounts import keys
from accounts.models import Team, User
from credits import ledger
from credits.models import Entry, Hold
from inference.models import Endpoint, Run
from tests.api.scenes import balance, body, charges, events, said, the_run
from tests.fakes.openai_server import FakeLlamaCpp
from tests.fakes.script import Script
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import DOLLAR, asked, cost_nano, prompt_tokens, register
from tests.patience import PATIENCE_SECONDS, until
from tests.server import Server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]

MAX_TOKENS = 5
ONE_NANO = cost_nano(MAX_TOKENS)


def grant(team: Team, amount_nano: int) -> None:
    ledger.grant(team.pk, amount_nano, reason="for the tests", actor="tests")


def ask_at_once(site: Server, api_keys: list[str], count: int, **fields: Any) -> list[int]:
    """Ask so many times in the same moment, with the keys in turn, and return the statuses."""

    async def ask(client: AsyncOpenAI) -> int:
        try:
            answer = await client.chat.completions.create(**body(max_tokens=MAX_TOKENS, **fields))
            if fields.get("stream"):
                async for _ in answer:
                    pass
        except openai.APIStatusError as error:
            return error.status_code
        return 200

    async def ask_all() -> list[int]:
        url = f"{site.url}/v1"
        clients = [AsyncOpenAI(base_url=url, api_key=key, max_retries=0, timeout=PATIENCE_SECONDS) for key in api_keys]
        try:
            return await asyncio.gather(*(ask(clients[number % len(clients)]) for number in range(count)))
        finally:
            await asyncio.gather(*(client.close() for client in clients))

    return asyncio.run(ask_all())


def check_ten_of(statuses: list[int], team: Team) -> None:
    assert sorted(statuses) == [200] * 10 + [402] * (len(statuses) - 10)
    assert balance(team) == 0
    assert charges(team) == [ONE_NANO] * 10
    assert not Hold.objects.filter(state=Hold.State.OPEN).exists()
    assert sorted(Run.objects.values_list("cost_nano", flat=True)) == [ONE_NANO] * 10
    assert set(Entry.objects.filter(kind="charge").values_list("run", flat=True)) == set(
        Run.objects.values_list("id", flat=True)
    )


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_balance_for_ten_lets_exactly_ten_of_fifty_through(
    site: Server, api_key: str, tgi: FakeTgi, team: Team, stream: bool
) -> None:
    grant(team, 10 * ONE_NANO)
    check_ten_of(ask_at_once(site, [api_key], 50, stream=stream), team)


def test_it_stays_ten_of_two_hundred(site: Server, api_key: str, tgi: FakeTgi, team: Team, settings: Settings) -> None:
    settings.PROJECT_CONCURRENCY = settings.USER_CONCURRENCY = 200
    tgi.script.before_first = 0.05
    grant(team, 10 * ONE_NANO)
    check_ten_of(ask_at_once(site, [api_key], 200, stream=True), team)


def test_it_stays_ten_when_the_engine_is_slow(site: Server, api_key: str, tgi: FakeTgi, team: Team) -> None:
    tgi.script.before_first = 0.2
    tgi.script.between = 0.02
    grant(team, 10 * ONE_NANO)
    check_ten_of(ask_at_once(site, [api_key], 50), team)


def test_it_stays_ten_for_two_projects_of_one_team(
    site: Server, api_key: str, tgi: FakeTgi, team: Team, member: User
) -> None:
    research = team.projects.create(slug="research")
    other_key = keys.create(name="other", issuer=member, team=team, project=research)[1]
    grant(team, 10 * ONE_NANO)
    check_ten_of(ask_at_once(site, [api_key, other_key], 50), team)


def test_it_stays_ten_when_only_few_are_served_at_once(site: Server, api_key: str, tgi: FakeTgi, team: Team) -> None:
    Endpoint.objects.update(concurrency=3)
    grant(team, 10 * ONE_NANO)
    check_ten_of(ask_at_once(site, [api_key], 50), team)


def test_one_nano_too_little_is_too_little(client: OpenAI, tgi: FakeTgi, team: Team) -> None:
    grant(team, ONE_NANO - 1)
    with pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(**body(max_tokens=MAX_TOKENS))
    assert raised.value.status_code == 402
    grant(team, 1)
    client.chat.completions.create(**body(max_tokens=MAX_TOKENS))
    assert balance(team) == 0


def test_without_a_limit_a_small_balance_is_enough_to_begin(client: OpenAI, tgi: FakeTgi, team: Team) -> None:
    grant(team, cost_nano(40))
    client.chat.completions.create(**body())
    assert the_run().held_nano == cost_nano(40)
    assert balance(team) == cost_nano(40) - cost_nano(11)


def test_an_absurd_limit_holds_no_more_than_the_context(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(**body(max_tokens=10_000_000))
    assert balance(funded) == DOLLAR


def test_a_stream_that_the_engine_breaks_off_is_charged_to_the_token(
    raw: httpx2.Client, tgi: FakeTgi, funded: Team
) -> None:
    for number, trouble in enumerate(("fail_after", "break_after"), start=1):
        setattr(tgi.script, trouble, 4)
        streamed = events(raw.post("/v1/chat/completions", json=body(stream=True)).text)
        setattr(tgi.script, trouble, None)
        assert said(streamed) == "The quick brown fox"
        assert streamed[-1]["error"]["code"] == "server_error"
        until(lambda number=number: Run.objects.count() == number)  # type: ignore[misc]
    assert charges(funded) == [cost_nano(4)] * 2
    assert set(Run.objects.values_list("ending", "error", "delivered_tokens")) == {("engine_error", "EngineFailed", 4)}


def test_a_whole_answer_that_breaks_off_costs_nothing(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.fail_after = 4
    assert raw.post("/v1/chat/completions", json=body()).status_code == 500
    run = the_run()
    assert (run.generated_tokens, run.delivered_tokens, run.cost_nano) == (4, 0, 0)
    assert balance(funded) == DOLLAR


def test_an_engine_that_fails_before_its_first_token_is_a_true_status_and_free(
    raw: httpx2.Client, tgi: FakeTgi, funded: Team
) -> None:
    stream = "text/event-stream"
    troubles: list[tuple[dict[str, Any], int]] = [
        ({"fail_after": 0}, 500),
        ({"break_after": 0}, 500),
        ({"overloaded": True}, 503),
        ({"response": (500, "application/json", b'{"error":"oh"}')}, 500),
        ({"response": (429, "application/json", b"{}")}, 503),
        ({"response": (502, "text/html", b"<h1>Bad Gateway</h1>")}, 503),
        ({"response": (401, "text/plain", b"")}, 503),
        ({"response": (301, "text/plain", b"")}, 503),
        ({"response": (200, "text/html", b"<h1>hello</h1>")}, 500),
        ({"response": (200, stream, b"data: [DONE]\n\n")}, 500),
        ({"response": (200, stream, b"data: {\n\n")}, 500),
        ({"response": (200, stream, b"data: \xff\xfe\n\n")}, 500),
        ({"response": (200, stream, b'data: {"choices":5}\n\n')}, 500),
        ({"response": (200, stream, b"data: " + b"[" * 100_000 + b"\n\n")}, 500),
        ({"response": (200, stream, b"")}, 500),
    ]
    for script, status in troubles:
        tgi.script = Script(**script)
        for streamed in (True, False):
            response = raw.post("/v1/chat/completions", json=body(stream=streamed))
            assert response.status_code == status, script
            assert response.json()["error"]["type"] == "server_error"
    until(lambda: Run.objects.filter(cost_nano=0, ending="engine_error").count() == 2 * len(troubles))
    assert balance(funded) == DOLLAR
    assert not Hold.objects.filter(state=Hold.State.OPEN).exists()


def test_counts_that_come_before_the_first_token_do_not_make_a_failure_a_stream(
    raw: httpx2.Client, engines: ExitStack, funded: Team
) -> None:
    server = engines.enter_context(FakeLlamaCpp())
    register(server, Endpoint.Kind.LLAMACPP)
    # The first event is the role, with counts.
    server.script.break_after = 1
    assert raw.post("/v1/chat/completions", json=body(stream=True)).status_code == 500
    assert the_run().cost_nano == 0


def test_an_engine_that_nobody_hears_of_is_503(raw: httpx2.Client, engines: ExitStack, funded: Team) -> None:
    with FakeTgi() as gone:
        register(gone)
    response = raw.post("/v1/chat/completions", json=body())
    assert (response.status_code, response.json()["error"]["code"]) == (503, "engine_unavailable")
    assert the_run().ending == "engine_error"
    assert balance(funded) == DOLLAR


def test_a_team_that_was_never_given_credits_is_402(raw: httpx2.Client, tgi: FakeTgi) -> None:
    assert raw.post("/v1/chat/completions", json=body()).status_code == 402
    assert not asked(tgi)
    assert not Run.objects.exists()


def test_what_a_run_held_covers_its_prompt_exactly(client: OpenAI, tgi: FakeTgi, team: Team) -> None:
    grant(team, ONE_NANO)
    client.chat.completions.create(**body(max_tokens=MAX_TOKENS))
    run = the_run()
    assert run.held_nano == run.cost_nano == ONE_NANO
    assert run.prompt_tokens == prompt_tokens()
