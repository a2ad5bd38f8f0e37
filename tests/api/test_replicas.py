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
from inference.models import Endpoint, Run
from inference.routing.health_checks import FAILURE_THRESHOLD
from tests.api.scenes import body, charges, said
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import asked as asked_of
from tests.inference.scenes import cost_nano, register
from tests.patience import until

pytestmark = pytest.mark.django_db(transaction=True)

LOAD_SECONDS = 3.0
# One more than it takes: the last of them has been judged.
PROBES = FAILURE_THRESHOLD + 1


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
def in_one_piece(four: list[FakeTgi]) -> list[FakeTgi]:
    """The same, where each answer is written at once: none is lost after its first token, when nobody makes it good."""
    for replica in four:
        replica.script.bytes_per_write = 1_000_000
    return four


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
    in_one_piece: list[FakeTgi], funded: Team, load: Callable[[], list[int]]
) -> None:
    until(lambda: all(asked(replica) for replica in in_one_piece))
    victim = in_one_piece[0]
    victim.die()
    killed_at = time.monotonic()
    while time.monotonic() - killed_at < LOAD_SECONDS:
        time.sleep(0.1)
    before = asked(victim)
    victim.come_back()
    until(lambda: asked(victim) > before)
    attempts = len(load())
    assert attempts > 0
    assert set(load()) == {200}
    until(lambda: Run.objects.count() == attempts)
    assert sum(charges(funded)) == sum(Run.objects.values_list("cost_nano", flat=True))
    assert set(Run.objects.values_list("ending", flat=True)) == {"length"}


def test_a_silent_death_is_noticed_by_asking(four: list[FakeTgi], funded: Team, raw: httpx2.Client) -> None:
    # It takes connections and answers no health check: only probing tells, before any request is lost.
    silent = four[0]
    silent.is_healthy = False
    probed = probes(silent)
    until(lambda: probes(silent) - probed >= PROBES)
    for number in range(24):
        assert raw.post("/v1/chat/completions", json=question(number)).status_code == 200
    assert asked(silent) == 0
    silent.is_healthy = True
    more = itertools.count()
    until(lambda: raw.post("/v1/chat/completions", json=question(next(more))) and asked(silent))


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
    until(Run.objects.exists)
    assert charges(funded) == [Run.objects.get().cost_nano]
    assert Run.objects.get().cost_nano == cost_nano(2, [{"role": "user", "content": "Question 1"}])


def test_a_replica_whose_answers_always_break_off_is_left_alone(
    four: list[FakeTgi], funded: Team, raw: httpx2.Client
) -> None:
    four[0].script.break_after = 1
    statuses = [raw.post("/v1/chat/completions", json=question(number)).status_code for number in range(60)]
    # Two seconds after the third one it is tried again, and answers break off as before.
    assert 3 <= statuses.count(500) == asked(four[0]) < 12
    assert set(statuses) == {200, 500}


def test_a_request_that_breaks_whoever_answers_does_not_reach_them_all(
    four: list[FakeTgi], funded: Team, raw: httpx2.Client
) -> None:
    for replica in four:
        replica.script.response = (500, "text/plain", b"CUDA error")
    assert raw.post("/v1/chat/completions", json=question(1)).status_code == 500
    assert sum(asked(replica) for replica in four) == 3
    assert charges(funded) == []


def test_servers_that_are_full_cost_no_request_while_another_has_a_place(
    four: list[FakeTgi], engines: ExitStack, funded: Team, raw: httpx2.Client
) -> None:
    register(engines.enter_context(FakeTgi()))
    for replica in four:
        replica.script.overloaded = True
    with ThreadPoolExecutor(6) as clients:
        answers = list(clients.map(lambda n: raw.post("/v1/chat/completions", json=question(n)), range(24)))
    assert {answer.status_code for answer in answers} == {200}
    # They look idle, and are left to themselves for a while all the same.
    assert sum(asked(replica) for replica in four) < 24


def test_servers_that_are_all_full_are_said_to_be(four: list[FakeTgi], funded: Team, raw: httpx2.Client) -> None:
    for replica in four:
        replica.script.overloaded = True
    answer = raw.post("/v1/chat/completions", json=question(1))
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "engine_overloaded"
    assert [asked(replica) for replica in four] == [1, 1, 1, 1]


def test_a_request_that_failed_goes_on_to_where_the_endpoints_are_now(
    engines: ExitStack, funded: Team, raw: httpx2.Client
) -> None:
    pair = [engines.enter_context(FakeTgi()) for _ in range(2)]
    ids = [register(replica).pk for replica in pair]
    for replica in pair:
        replica.script.silent_after = 0
    with ThreadPoolExecutor(1) as client:
        held = client.submit(raw.post, "/v1/chat/completions", json=question(1))
        until(lambda: any(asked(replica) for replica in pair))
        home, drained = sorted(pair, key=asked, reverse=True)
        Endpoint.objects.filter(pk=ids[pair.index(drained)]).update(is_enabled=False)
        new = engines.enter_context(FakeTgi())
        register(new)
        # Who asks how the new one is has heard of both changes.
        until(lambda: probes(new))
        home.close_connections()
        assert held.result().status_code == 200
    assert asked(drained) == 0


def test_what_only_some_servers_of_a_model_can_do_goes_to_them(
    engines: ExitStack, funded: Team, raw: httpx2.Client
) -> None:
    old, new = engines.enter_context(FakeTgi()), engines.enter_context(FakeOpenAI())
    register(old)
    register(new, Endpoint.Kind.OPENAI)
    statuses = [raw.post("/v1/chat/completions", json=question(n) | {"top_k": 5}).status_code for n in range(8)]
    assert set(statuses) == {200}
    assert (len(asked_of(old)), len(asked_of(new))) == (0, 8)
    more = [raw.post("/v1/chat/completions", json=question(n)).status_code for n in range(8)]
    assert set(more) == {200}
    assert asked_of(old)
    neither = raw.post("/v1/chat/completions", json=question(1) | {"n": 2})
    assert (neither.status_code, neither.json()["error"]["param"]) == (400, "n")


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
