"""Health for people who look: asked at once, remembered shortly, never waited for long."""

import socket
from typing import Any

import pytest

from inference.models import Endpoint, Model
from inference.routing import health
from tests.fakes.tgi import FakeTgi
from tests.patience import PATIENCE_SECONDS, Stopwatch

pytestmark = pytest.mark.django_db(transaction=True)


def endpoint(url: str, pk: int = 1, **fields: Any) -> Endpoint:
    model, _ = Model.objects.get_or_create(id="fable/fox-1b", defaults={"name": "Fox", "context_tokens": 4096})
    return Endpoint(pk=pk, model=model, kind="tgi", base_url=url, **fields)


async def check(*endpoints: Endpoint, known: health.Known | None = None) -> dict[int, bool | None]:
    return await health.check(endpoints, {} if known is None else known)


def test_an_endpoint_is_up_down_or_off(monkeypatch: pytest.MonkeyPatch) -> None:
    from asgiref.sync import async_to_sync

    monkeypatch.setattr(health, "CHECK_SECONDS", PATIENCE_SECONDS)
    with FakeTgi() as server:
        up = endpoint(server.url, pk=1)
        down = endpoint("http://127.0.0.1:9", pk=2)
        off = endpoint(server.url, pk=3, is_enabled=False)
        assert async_to_sync(check)(up, down, off) == {1: True, 2: False, 3: None}


def test_many_silent_servers_take_no_longer_than_one() -> None:
    from asgiref.sync import async_to_sync

    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        port = silent.getsockname()[1]
        silent_ones = [endpoint(f"http://127.0.0.1:{port}/{number}", pk=number) for number in range(20)]
        with Stopwatch() as watch:
            answers = async_to_sync(check)(*silent_ones)
        assert watch.seconds < 2 * health.CHECK_SECONDS
        assert set(answers.values()) == {False}


def test_an_answer_is_remembered_for_a_moment_but_not_for_another_address(monkeypatch: pytest.MonkeyPatch) -> None:
    from asgiref.sync import async_to_sync

    monkeypatch.setattr(health, "CHECK_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(health, "REMEMBERED_SECONDS", 600)
    known: health.Known = {}
    with FakeTgi() as server:
        url = server.url
        assert async_to_sync(check)(endpoint(url), known=known) == {1: True}
    assert async_to_sync(check)(endpoint(url), known=known) == {1: True}
    assert async_to_sync(check)(endpoint(url, credential="changed"), known=known) == {1: False}
