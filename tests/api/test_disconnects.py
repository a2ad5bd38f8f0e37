"""A client that goes away: upstream ends within a second, and what was delivered is charged, to the token."""

import threading
import time
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from accounts.models import Team
from credits.models import Hold
from inference.models import Endpoint, Run
from inference.runtime import serving
from tests.api.scenes import Connect, Wire, balance, body, the_run
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import DOLLAR, MODEL, asked, cost_nano, prompt_tokens
from tests.patience import PATIENCE_SECONDS, until, within

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]

# ``python -m bench.disconnects`` does it with 500 of each kind.
MANY = 20


def closed(tgi: FakeTgi, count: int = 1) -> bool:
    """Whether so many upstream connections were closed in the middle of their answers."""
    return sum(request.closed_at is not None for request in asked(tgi)) == count


def is_settled() -> bool:
    return not Hold.objects.filter(state=Hold.State.OPEN).exists()


def test_dropping_a_stream_ends_upstream_and_charges_what_was_delivered(
    connect: Connect, tgi: FakeTgi, funded: Team
) -> None:
    tgi.script.silent_after = 3
    with connect(body(stream=True)) as wire:
        wire.read_words(3)
    within(1, lambda: closed(tgi))
    run = the_run()
    assert balance(funded) == DOLLAR - cost_nano(3)
    assert (run.ending, run.delivered_tokens, run.counting) == ("disconnected", 3, "tokenizer")
    assert run.prompt_tokens == prompt_tokens()
    assert is_settled()


def test_dropping_a_stream_before_its_first_token_costs_nothing(connect: Connect, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.silent_after = 0
    with connect(body(stream=True)):
        until(lambda: asked(tgi))
    within(1, lambda: closed(tgi))
    assert the_run().ending == "disconnected"
    assert balance(funded) == DOLLAR
    assert is_settled()


def test_dropping_a_whole_answer_that_is_on_its_way_costs_nothing(connect: Connect, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.silent_after = 5
    with connect(body()):
        until(lambda: asked(tgi) and asked(tgi)[0].tokens_sent == 5)
    within(1, lambda: closed(tgi))
    run = the_run()
    assert (run.ending, run.delivered_tokens, run.generated_tokens) == ("disconnected", 0, 5)
    assert balance(funded) == DOLLAR


def test_dropping_a_fast_stream_charges_no_more_than_was_sent(connect: Connect, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.between = 0.002
    with connect(body(stream=True, max_tokens=2_000)) as wire:
        wire.read_words(20)
    within(1, lambda: closed(tgi))
    run = the_run()
    assert wire.received.count(b'"delta":{"content":') <= run.delivered_tokens <= asked(tgi)[0].tokens_sent
    assert balance(funded) == DOLLAR - cost_nano(run.delivered_tokens)


def test_dropping_a_queued_request_leaves_the_queue_and_costs_nothing(
    connect: Connect, tgi: FakeTgi, funded: Team
) -> None:
    Endpoint.objects.update(concurrency=1)
    tgi.script.silent_after = 1
    with connect(body(stream=True)) as first:
        first.read_words(1)
        with connect(body(stream=True)):
            until(lambda: Hold.objects.filter(state=Hold.State.OPEN).count() == 2)
        until(lambda: Run.objects.filter(ending="disconnected", cost_nano=0, endpoint=None).exists())
        assert len(asked(tgi)) == 1
    within(1, lambda: closed(tgi))
    until(is_settled)
    assert balance(funded) == DOLLAR - cost_nano(1)


@pytest.mark.parametrize("fields", [{"stream": True}, {}], ids=["streamed", "whole"])
def test_whoever_leaves_gives_every_place_back(
    connect: Connect, tgi: FakeTgi, funded: Team, settings: Settings, fields: dict[str, Any]
) -> None:
    settings.PROJECT_CONCURRENCY = 2
    Endpoint.objects.update(concurrency=1)
    tgi.script.silent_after = 1
    for count in range(1, 4):
        with connect(body(**fields)):
            until(lambda count=count: len(asked(tgi)) == count and asked(tgi)[-1].tokens_sent)  # type: ignore[misc]
        within(1, lambda count=count: closed(tgi, count))  # type: ignore[misc]
    tgi.script.silent_after = None
    with connect(body()) as wire:
        wire.read_until(b"usage")


def test_a_client_that_leaves_while_its_body_is_on_its_way_leaves_nothing(
    connect: Connect, tgi: FakeTgi, funded: Team
) -> None:
    with connect(body()) as whole:
        whole.read_until(b"usage")
    with connect(b'{"model"') as wire:
        wire.socket.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
    assert len(asked(tgi)) == 1
    the_run()


def question(number: int, **fields: Any) -> dict[str, Any]:
    """Return a request that can be told from the others by its message and its limit."""
    return body(messages=[{"role": "user", "content": f"client {number}"}], max_tokens=1_000 + number, **fields)


def leave_each(wires: list[Wire]) -> None:
    """Drop the connections one after the other."""
    for wire in wires:
        wire.drop()
        time.sleep(0.01)


@pytest.mark.parametrize("fields", [{"stream": True}, {}], ids=["streamed", "whole"])
def test_each_of_many_who_leave_closes_its_upstream_within_a_second(
    connect: Connect, tgi: FakeTgi, funded: Team, fields: dict[str, Any]
) -> None:
    tgi.script.between = 0.02
    wires = [connect(question(number, **fields)) for number in range(MANY)]
    until(lambda: sum(request.tokens_sent > 0 for request in asked(tgi)) == MANY)
    leave_each(wires)
    within(1, lambda: closed(tgi, MANY))
    until(is_settled)


def waiting() -> int:
    """Return how many wait for the model."""
    runtime = serving()
    assert runtime
    return runtime.queues.waiting()[MODEL]


def test_each_of_many_who_leave_the_queue_is_out_of_it_within_a_second(
    connect: Connect, tgi: FakeTgi, funded: Team
) -> None:
    Endpoint.objects.update(concurrency=1)
    tgi.script.silent_after = 1
    with connect(body(stream=True)) as served:
        served.read_words(1)
        wires = [connect(question(number, stream=number % 2 == 0)) for number in range(MANY)]
        until(lambda: waiting() == MANY)
        assert Hold.objects.filter(state=Hold.State.OPEN).count() == MANY + 1
        leave_each(wires)
        within(1, lambda: not waiting())
        until(lambda: Run.objects.filter(endpoint=None, ending="disconnected", cost_nano=0).count() == MANY)
        assert len(asked(tgi)) == 1
    until(is_settled)


def test_many_clients_that_leave_at_once_leave_nothing(connect: Connect, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.between = 0.01
    wires = [connect(body(stream=True, max_tokens=1_000)) for _ in range(30)]
    # One that leaves before the engine is asked has nothing to close there.
    until(lambda: sum(request.tokens_sent > 0 for request in asked(tgi)) == len(wires))
    leaving = threading.Barrier(len(wires))

    def leave(wire: Wire, words: int) -> None:
        wire.read_words(words)
        leaving.wait(PATIENCE_SECONDS)
        wire.drop()

    threads = [threading.Thread(target=leave, args=(wire, count % 4)) for count, wire in enumerate(wires)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    within(1, lambda: closed(tgi, 30))
    until(is_settled)
    runs = Run.objects.filter(model_id=MODEL)
    assert runs.count() == 30
    assert balance(funded) == DOLLAR - sum(cost_nano(run.delivered_tokens) for run in runs)
