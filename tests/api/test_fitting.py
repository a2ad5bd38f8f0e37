"""What callers of the API hear when credits run out on the way, and when an answer was made to fit."""

from typing import Any

import httpx2
import pytest

from accounts.models import Team
from credits import ledger
from tests.api.scenes import balance, body, charges, events, said, the_run
from tests.fakes.tgi import WORDS, FakeTgi
from tests.inference.scenes import DOLLAR, asked, cost_nano

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]

PAID = 40
FITS = {"parley-fit-to-balance": "true"}


def ask(raw: httpx2.Client, headers: dict[str, str] | None = None, **fields: Any) -> httpx2.Response:
    return raw.post("/v1/chat/completions", json=body(**fields), headers=headers or {})


@pytest.fixture
def small(team: Team, tgi: FakeTgi) -> Team:
    """The team with credits for an answer of PAID tokens, and an engine that goes on for longer."""
    ledger.grant(team.pk, cost_nano(PAID), reason="for the tests", actor="tests")
    tgi.script.default_tokens = 1_000
    return team


def test_a_stream_ends_with_what_was_paid_for_and_says_why(raw: httpx2.Client, small: Team) -> None:
    response = ask(raw, stream=True)
    assert response.status_code == 200
    streamed = events(response.text)
    assert said(streamed) == "".join(WORDS * 4)
    error = streamed[-1]["error"]
    assert (error["code"], error["type"]) == ("insufficient_quota", "insufficient_quota")
    assert error["doc_url"].endswith("/docs/errors#insufficient_quota")
    run = the_run()
    assert (run.ending, run.delivered_tokens, run.cost_nano) == ("out_of_credits", PAID, cost_nano(PAID))
    assert balance(small) == 0


def test_a_stream_that_credits_end_has_its_usage_before_it_says_why(raw: httpx2.Client, small: Team) -> None:
    usage, error = events(ask(raw, stream=True, stream_options={"include_usage": True}).text)[-2:]
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], PAID)
    assert error["error"]["code"] == "insufficient_quota"


def test_a_whole_answer_is_sent_as_far_as_it_was_paid_for_and_says_why(raw: httpx2.Client, small: Team) -> None:
    response = ask(raw)
    assert response.status_code == 200
    assert response.headers["parley-stopped-by"] == "insufficient_quota"
    answer = response.json()
    assert answer["choices"][0]["message"]["content"] == "".join(WORDS * 4)
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == PAID
    assert (the_run().ending, charges(small), balance(small)) == ("out_of_credits", [cost_nano(PAID)], 0)


def test_whoever_repeats_the_request_hears_the_same(raw: httpx2.Client, small: Team, tgi: FakeTgi) -> None:
    first, second = (ask(raw, {"idempotency-key": "k"}) for _ in range(2))
    assert first.content == second.content
    assert second.headers["parley-stopped-by"] == "insufficient_quota"
    first, second = (ask(raw, {"idempotency-key": "k2"}, stream=True) for _ in range(2))
    assert (first.status_code, second.status_code) == (402, 402)
    assert len(asked(tgi)) == 1


def test_an_answer_that_ends_by_itself_says_nothing(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    response = ask(raw)
    assert response.json()["choices"][0]["finish_reason"] == "stop"
    assert not [name for name in response.headers if name.startswith("parley-")]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_answer_can_be_made_to_fit(raw: httpx2.Client, small: Team, tgi: FakeTgi, stream: bool) -> None:
    response = ask(raw, FITS, max_tokens=500, stream=stream)
    assert (response.status_code, response.headers["parley-max-tokens"]) == (200, str(PAID))
    assert raw.get(f"/v1/receipts/{response.headers['x-request-id']}").json()["clamped_to"] == PAID
    assert "parley-stopped-by" not in response.headers
    assert asked(tgi)[0].json["max_tokens"] == PAID
    run = the_run()
    assert (run.ending, run.cost_nano, run.held_nano) == ("length", cost_nano(PAID), cost_nano(PAID))
    assert balance(small) == 0


def test_a_replayed_answer_says_what_it_was_made_to_fit(raw: httpx2.Client, small: Team, tgi: FakeTgi) -> None:
    answers = [ask(raw, FITS | {"idempotency-key": "k"}, max_tokens=500) for _ in range(2)]
    assert [answer.headers["parley-max-tokens"] for answer in answers] == [str(PAID)] * 2
    # Without the header it is another request.
    assert ask(raw, {"idempotency-key": "k"}, max_tokens=500).status_code == 409


def test_without_the_header_a_limit_that_does_not_fit_is_refused(raw: httpx2.Client, small: Team, tgi: FakeTgi) -> None:
    for headers in ({}, {"parley-fit-to-balance": "false"}):
        assert ask(raw, headers, max_tokens=500).status_code == 402
    assert not asked(tgi)


@pytest.mark.parametrize("value", ["yes", "1", "", "true,true", "true false"])
def test_a_header_that_is_neither_true_nor_false_is_refused(
    raw: httpx2.Client, funded: Team, tgi: FakeTgi, value: str
) -> None:
    response = ask(raw, {"parley-fit-to-balance": value})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "Parley-Fit-To-Balance")
    assert balance(funded) == DOLLAR


def test_the_header_may_be_written_in_capitals(raw: httpx2.Client, funded: Team, tgi: FakeTgi) -> None:
    assert ask(raw, {"Parley-Fit-To-Balance": "True"}).status_code == 200
