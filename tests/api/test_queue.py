"""More requests than places: they wait in order, within bounds, and are told when it is too much."""

import asyncio
import threading
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI
from pytest_django.fixtures import Settings

from accounts.models import Team
from credits.models import Hold
from inference.models import Endpoint, Run
from tests.api.scenes import Connect, balance, body
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import DOLLAR, asked, cost_nano, register
from tests.patience import until
from tests.server import Server

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def one_place(tgi: FakeTgi) -> FakeTgi:
    """An engine with one place, that never ends what it begins."""
    Endpoint.objects.update(concurrency=1)
    tgi.script.silent_after = 1
    return tgi


def held() -> int:
    return Hold.objects.filter(state=Hold.State.OPEN).count()


def test_a_full_queue_is_503_with_a_time_to_come_back(
    connect: Connect, raw: httpx2.Client, one_place: FakeTgi, funded: Team, settings: Settings
) -> None:
    settings.QUEUE_LENGTH = 2
    with ExitStack() as wires:
        wires.enter_context(connect(body(stream=True))).read_words(1)
        for count in (2, 3):
            wires.enter_context(connect(body(stream=True)))
            until(lambda count=count: held() == count)  # type: ignore[misc]
        response = raw.post("/v1/chat/completions", json=body())
        assert (response.status_code, response.headers["retry-after"]) == (503, "2")
        assert response.json()["error"]["code"] == "engine_overloaded"
        until(lambda: Run.objects.filter(cost_nano=0, ending="engine_error", error="EngineOverloaded").exists())
    until(lambda: held() == 0)
    assert balance(funded) == DOLLAR - cost_nano(1)


def test_a_wait_that_is_too_long_is_503(
    connect: Connect, raw: httpx2.Client, one_place: FakeTgi, funded: Team, settings: Settings
) -> None:
    settings.QUEUE_SECONDS = 0.2
    with connect(body(stream=True)) as wire:
        wire.read_words(1)
        response = raw.post("/v1/chat/completions", json=body(stream=True))
        assert (response.status_code, response.json()["error"]["code"]) == (503, "engine_overloaded")
    until(lambda: held() == 0)


def test_those_who_wait_are_served_in_order(connect: Connect, tgi: FakeTgi, funded: Team) -> None:
    Endpoint.objects.update(concurrency=1)
    tgi.script.silent_after, tgi.script.let_go = 0, threading.Event()
    with ExitStack() as wires:
        waiting = []
        for number in range(5):
            messages = [{"role": "user", "content": f"number {number}"}]
            waiting.append(wires.enter_context(connect(body(messages=messages, max_tokens=1))))
            until(lambda number=number: held() == number + 1)  # type: ignore[misc]
        tgi.script.let_go.set()
        for wire in waiting:
            wire.read_until(b"usage")
    assert [request.json["messages"][0]["content"][-1] for request in asked(tgi)] == list("01234")


def test_the_least_busy_endpoint_is_chosen(connect: Connect, engines: ExitStack, funded: Team) -> None:
    small, large = engines.enter_context(FakeTgi()), engines.enter_context(FakeTgi())
    register(small, concurrency=2)
    register(large, concurrency=6)
    for server in (small, large):
        server.script.silent_after = 1
    with ExitStack() as wires:
        for _ in range(8):
            wires.enter_context(connect(body(stream=True, max_tokens=5))).read_words(1)
        assert (len(asked(small)), len(asked(large))) == (2, 6)


def test_more_than_the_places_are_all_answered_in_the_end(
    site: Server, api_key: str, tgi: FakeTgi, funded: Team
) -> None:
    Endpoint.objects.update(concurrency=3)
    most = 0
    counting = threading.Lock()

    async def ask(client: AsyncOpenAI) -> Any:
        nonlocal most
        with counting:
            most = max(most, sum(request.answered_at is None for request in asked(tgi)))
        return await client.chat.completions.create(**body(max_tokens=3))

    async def ask_all() -> list[Any]:
        async with AsyncOpenAI(base_url=f"{site.url}/v1", api_key=api_key, max_retries=0) as client:
            return await asyncio.gather(*(ask(client) for _ in range(40)))

    answers = asyncio.run(ask_all())
    assert all(answer.choices[0].message.content == "The quick brown" for answer in answers)
    assert most <= 3
    until(lambda: Run.objects.count() == 40)
    assert balance(funded) == DOLLAR - 40 * cost_nano(3)
