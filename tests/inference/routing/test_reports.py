"""What the processes tell each other of the replicas, and what queues learn of them."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from pytest_django import Settings

from core import ids
from inference.models import ProcessReport
from inference.routing import reports
from inference.routing.throughput import WINDOW_SECONDS, Throughput
from inference.runtime import Runtime
from tests.inference.routing.test_queue import endpoint, entry, model, replica_of, settle
from tests.patience import eventually
from tests.runtimes import runtime

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]


@pytest.fixture(autouse=True)
def _one_process(settings: Settings) -> Iterator[None]:
    """Have the name that it began with in the end."""
    name = ids.process_name()
    yield
    ids.name_process(name)


async def test_a_process_that_serves_alone_writes_nothing() -> None:
    replica_of(endpoint()).enter()
    async with asyncio.timeout(10):
        await reports.watch(runtime())
    assert not await ProcessReport.objects.aexists()


async def test_one_of_several_writes_what_it_knows_for_the_others(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(reports, "REPORT_SECONDS", 0.02)
    settings.WORKERS = 2
    single = endpoint()
    ids.name_process("0a0a0a0a")
    writing = asyncio.ensure_future(reports.watch(runtime()))
    replica_of(single).enter()
    await eventually(ProcessReport.objects.aexists)
    ids.name_process("0b0b0b0b")
    async with Runtime():
        own, other = await asyncio.to_thread(reports.every)
    assert own == reports.Report()
    assert [(each.endpoint_id, each.running) for each in other.replicas] == [(single.id, 1)]
    writing.cancel()
    with suppress(asyncio.CancelledError):
        await writing


async def test_a_drained_replica_serves_nobody_who_waits_and_a_new_one_does() -> None:
    single, other = endpoint(), endpoint()
    before = model(single)
    queues = runtime().queues
    queue = queues.of(before)
    holder, waiting = entry(), entry()
    slot = queue.enter(before, holder)
    assert slot
    assert queue.enter(before, waiting) is None
    assert queues.waiting() == {"a/b": 1}
    queues.learn({"a/b": model()})
    queue.leave(slot, holder)
    await settle()
    assert waiting.position
    queues.learn({"a/b": model(other)})
    await settle()
    assert not waiting.position
    assert replica_of(other).running == 1
    assert queues.waiting() == {"a/b": 0}
    queue.leave(replica_of(other), waiting)


def test_tokens_of_the_last_minute_are_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    throughput = Throughput()
    assert throughput.per_second() == 0
    for _ in range(2 * WINDOW_SECONDS):
        throughput.add(1)
        throughput.add(2)
        now += 1
    assert throughput.per_second() == pytest.approx(3, rel=0.05)
    now += WINDOW_SECONDS
    assert throughput.per_second() == 0
