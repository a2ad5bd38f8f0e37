"""Endpoints in the panel: how they are now, drained and asked again."""

import asyncio
import re
from collections.abc import Callable, Iterator

import msgspec
import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from inference.catalog.snapshots import snapshot_of
from inference.errors import EngineUnavailable
from inference.models import Endpoint, Model, ProcessReport
from inference.routing import health
from inference.routing.circuit_breaker import CircuitState
from inference.routing.replicas import Replica
from inference.routing.reports import BELIEVED_FOR, ReplicaReport, Report
from inference.runtime import Runtime
from tests.console.scenes import MODEL, model
from tests.fakes.tgi import FakeTgi
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.django_db

LIST = "/admin/inference/endpoint/"
Enter = Callable[..., Client]


@pytest.fixture
def tgi(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTgi]:
    """A server whose endpoint is there, and is waited for however slow the machine is."""
    monkeypatch.setattr(health, "CHECK_SECONDS", PATIENCE_SECONDS)
    with FakeTgi(max_concurrent_requests=16) as server:
        yield server


@pytest.fixture
def endpoint(tgi: FakeTgi) -> Endpoint:
    return Endpoint.objects.create(model=model(), kind="tgi", base_url=tgi.url, concurrency=4)


@pytest.fixture
def replica(endpoint: Endpoint) -> Iterator[Replica]:
    """What this process knows of the endpoint, which is nothing yet."""
    loop = asyncio.new_event_loop()
    serving = loop.run_until_complete(_begin())
    yield serving.replicas.of(snapshot_of(endpoint))
    loop.run_until_complete(serving.__aexit__())
    loop.close()


async def _begin() -> Runtime:
    return await Runtime().__aenter__()


@pytest.fixture
def another_process(settings: Settings) -> None:
    """Serve beside others."""
    settings.WORKERS = 2


def reported(process: str, *told: ReplicaReport, waiting: dict[str, int] | None = None, ago: int = 0) -> None:
    """Let another process have written what it knows, some seconds ago."""
    body = msgspec.json.encode(Report(list(told), waiting or {}))
    ProcessReport.objects.create(pk=process, written_at=timezone.now() - ago * BELIEVED_FOR, body=body)


def page(client: Client, address: str = LIST) -> str:
    return client.get(address).content.decode()


def act(client: Client, action: str, *endpoints: Endpoint) -> str:
    values = {"action": action, "_selected_action": [str(endpoint.pk) for endpoint in endpoints]}
    return client.post(LIST, values, follow=True).content.decode()


def test_a_list_and_a_page_show_how_an_endpoint_is(panel: Client, endpoint: Endpoint, replica: Replica) -> None:
    for _ in range(3):
        replica.enter()
    replica.throughput.add(120)
    replica.record_failure(EngineUnavailable("no route"))
    for shown in (page(panel), page(panel, f"{LIST}{endpoint.pk}/change/")):
        # Two seconds are left, or less on a slow machine.
        assert re.search("Circuit open (for [12] s|until)", shown)
        for words in ("Failing", "3 of 4", "2.0", "EngineUnavailable: no route", "ago)"):
            assert words in shown, words
    replica.circuit.record_first_token()
    assert "health-up" in page(panel)
    assert "Circuit closed" in page(panel, f"{LIST}{endpoint.pk}/change/")


def test_an_endpoint_that_was_never_asked_is_there_too(panel: Client, endpoint: Endpoint) -> None:
    shown = page(panel)
    assert "health-up" in shown
    assert "0 of 4" in shown


def test_a_drained_endpoint_shows_what_is_still_in_flight_until_it_is_empty(
    panel: Client, endpoint: Endpoint, replica: Replica
) -> None:
    for _ in range(3):
        replica.enter()
    assert "Draining, 3 in flight" in act(panel, "drain", endpoint)
    endpoint.refresh_from_db()
    assert not endpoint.is_enabled
    assert "Draining, 3 in flight" in page(panel, "/admin/")
    for _ in range(3):
        replica.leave()
    shown = page(panel)
    assert "Draining" not in shown.replace("Drain:", "")
    assert "health-off" in shown
    assert "health-up" in act(panel, "enable", endpoint)
    endpoint.refresh_from_db()
    assert endpoint.is_enabled
    assert [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")] == ["Drained.", "Enabled."]


def test_what_the_other_processes_know_is_added(
    panel: Client, endpoint: Endpoint, replica: Replica, another_process: None
) -> None:
    replica.enter()
    closed, opened = CircuitState.CLOSED.value, CircuitState.OPEN.value
    reported("0b0b0b0b", ReplicaReport(endpoint.pk, 5, 10.0, opened, 3.5, None), waiting={MODEL: 7})
    reported("0c0c0c0c", ReplicaReport(endpoint.pk, 2, 20.5, closed, 0, None), waiting={MODEL: 1, "a/b": 9})
    reported("0d0d0d0d", ReplicaReport(endpoint.pk, 90, 0, closed, 0, None), ago=2)
    shown = page(panel)
    for words in ("8 of 4", ">8<", "30.5", "Circuit open for 4 s (in 1 of 3 processes)"):
        assert words in shown, words


def test_a_server_is_asked_again_how_many_it_takes(panel: Client, endpoint: Endpoint) -> None:
    gone = Endpoint.objects.create(model=endpoint.model, kind="tgi", base_url="http://127.0.0.1:9", concurrency=8)
    shown = act(panel, "ask_again", endpoint, gone)
    assert f"The server at {endpoint.base_url} takes 16 at once; it was 4." in shown
    assert "The server at http://127.0.0.1:9 does not tell (EngineUnavailable); nothing was changed." in shown
    assert dict(Endpoint.objects.values_list("pk", "concurrency")) == {endpoint.pk: 16, gone.pk: 8}
    assert LogEntry.objects.get().get_change_message() == "Asked again: 16 at once, before 4."
    assert "takes 16 at once, as before." in act(panel, "ask_again", endpoint)


def test_a_server_that_takes_less_context_than_its_model_is_noticed(panel: Client, endpoint: Endpoint) -> None:
    Model.objects.update(context_tokens=1_000_000)
    assert "is listed with 1000000" in act(panel, "ask_again", endpoint)


@pytest.mark.parametrize("action", ["drain", "enable", "ask_again"])
def test_who_only_looks_changes_nothing(enter: Enter, endpoint: Endpoint, action: str) -> None:
    Endpoint.objects.update(is_enabled=action != "enable")
    before = Endpoint.objects.values().get()
    looker = enter("view_endpoint")
    assert "Now" in page(looker, f"{LIST}{endpoint.pk}/change/")
    act(looker, action, endpoint)
    assert Endpoint.objects.values().get() == before


def test_the_catalogue_knows_of_an_endpoint_that_fails_though_it_says_it_is_well(
    panel: Client, endpoint: Endpoint, replica: Replica
) -> None:
    assert "health-up" in page(panel, "/")
    replica.record_failure(EngineUnavailable())
    assert "health-down" in page(panel, "/")
    assert "Failing" in page(panel, reverse("admin:index"))
