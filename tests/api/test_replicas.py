"""Several servers behind one model: clients notice none of their troubles before the first token."""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx2
import pytest
from pytest_django.fixtures import Settings

from accounts.models import Team
from inference.models import Run
from inference.routing.probing import FAILURES_BORNE
from tests.api.scenes import body, charges, said
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import cost_nano, register, within

pytestmark = pytest.mark.django_db(transaction=True)

LOAD_SECONDS = 3.0
# One more than it takes: the last of them has been judged.
PROBES = FAILURES_BORNE + 2


def asked(replica: FakeTgi) -> int:
    return sum(request.path == "/v1/chat/completions" for request in replica.requests)


def probes(replica: FakeTgi) -> int:
    return sum(request.path == "/health" for request in replica.requests)


def question(number: int) -> dict[str, object]:
    return body(messages=[{"role": "user", "content": f"Question {number}"}], max_tokens=4)


@pytest.fixture
def four(engines: ExitStack) -> list[FakeTgi]:
    """A model on four servers."""
    replicas = [engines.enter_context(FakeTgi()) for _ in range(4)]
    for replica in replicas:
        register(replica)
    return replicas


@pytest.fixture
def load(raw: httpx2.Client) -> Iterator[Callable[[], list[int]]]:
    """Eight clients that ask without end; calling it ends them and returns every status."""
    is_over, statuses = threading.Event(), list[int]()

    def ask(client: int) -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            statuses.append(raw.post("/v1/chat/completions", json=question(1_000 * client + number)).status_code)

    with ThreadPoolExecutor(8) as clients:
        for client in range(8):
            clients.submit(ask, client)

        def end() -> list[int]:
            is_over.set()
            clients.shutdown()
            return statuses

        yield end
        is_over.set()


def test_a_killed_replica_costs_no_request_and_is_asked_again_once_it_is_back(
    four: list[FakeTgi], funded: Team, load: Callable[[], list[int]]
) -> None:
    within(10, lambda: all(asked(replica) for replica in four))
    victim = four[0]
    victim.die()
    killed_at = time.monotonic()
    while time.monotonic() - killed_at < LOAD_SECONDS:
        time.sleep(0.1)
    before = asked(victim)
    victim.come_back()
    within(30, lambda: asked(victim) > before)
    attempts = len(load())
    assert attempts > 0
    assert set(load()) == {200}
    within(10, lambda: Run.objects.count() == attempts)
    assert sum(charges(funded)) == sum(Run.objects.values_list("cost_nano", flat=True))
    assert set(Run.objects.values_list("ending", flat=True)) == {"length"}


def test_a_silent_death_is_noticed_by_asking(four: list[FakeTgi], funded: Team, raw: httpx2.Client) -> None:
    # It takes connections and answers no health check: only probing tells, before any request is lost.
    silent = four[0]
    silent.is_healthy = False
    probed = probes(silent)
    within(30, lambda: probes(silent) - probed >= PROBES)
    for number in range(24):
        assert raw.post("/v1/chat/completions", json=question(number)).status_code == 200
    assert asked(silent) == 0
    silent.is_healthy = True
    more = itertools.count()
    within(30, lambda: raw.post("/v1/chat/completions", json=question(next(more))) and asked(silent))


def test_a_replica_that_breaks_after_the_first_token_ends_the_answer_and_is_charged_exactly(
    four: list[FakeTgi], funded: Team, raw: httpx2.Client
) -> None:
    for replica in four:
        replica.script.break_after = 2
    response = raw.post("/v1/chat/completions", json=question(1) | {"stream": True})
    *streamed, failed = [json.loads(event[6:]) for event in response.text.split("\n\n")[:-2]]
    assert said(streamed) == "The quick"
    assert failed["error"]["code"] == "server_error"
    assert sum(asked(replica) for replica in four) == 1
    within(10, Run.objects.exists)
    assert charges(funded) == [Run.objects.get().cost_nano]
    assert Run.objects.get().cost_nano == cost_nano(2, [{"role": "user", "content": "Question 1"}])


def test_a_request_that_breaks_whoever_answers_does_not_reach_them_all(
    four: list[FakeTgi], funded: Team, raw: httpx2.Client
) -> None:
    for replica in four:
        replica.script.response = (500, "text/plain", b"CUDA error")
    assert raw.post("/v1/chat/completions", json=question(1)).status_code == 500
    assert sum(asked(replica) for replica in four) == 3
    assert charges(funded) == []


def test_a_full_replica_sends_the_request_elsewhere(four: list[FakeTgi], funded: Team, raw: httpx2.Client) -> None:
    for replica in four[1:]:
        replica.script.overloaded = True
    statuses = [raw.post("/v1/chat/completions", json=question(number)).status_code for number in range(12)]
    # Three are tried: a request whose three were all full is told so.
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= 6


def test_a_conversation_goes_back_to_its_replica(four: list[FakeTgi], funded: Team, raw: httpx2.Client) -> None:
    homes = set()
    for conversation in range(8):
        messages = [{"role": "user", "content": f"Conversation {conversation}"}]
        before = [asked(replica) for replica in four]
        for _turn in range(3):
            answer = raw.post("/v1/chat/completions", json=body(messages=messages, max_tokens=4)).json()
            messages += [answer["choices"][0]["message"] | {"refusal": None}, {"role": "user", "content": "Go on"}]
        turns = [asked(replica) - count for replica, count in zip(four, before, strict=True)]
        assert sorted(turns) == [0, 0, 0, 3]
        homes.add(turns.index(3))
    assert len(homes) > 1


def test_a_queue_that_overflows_says_when_to_come_back(
    engines: ExitStack, funded: Team, raw: httpx2.Client, settings: Settings
) -> None:
    settings.QUEUE_LENGTH = 1
    replica = engines.enter_context(FakeTgi())
    register(replica, concurrency=1)
    replica.script.before_first = 0.2
    with ThreadPoolExecutor(12) as clients:
        responses = list(clients.map(lambda n: raw.post("/v1/chat/completions", json=question(n)), range(12)))
    refused = [response for response in responses if response.status_code != 200]
    assert {response.status_code for response in refused} == {503}
    assert all(int(response.headers["retry-after"]) >= 1 for response in refused)
