"""What the processes tell each other of the replicas, and what lines learn of them."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from pytest_django import Settings

from core import ids
from inference.models import ProcessReport
from inference.routing import queue, replicas, reports
from inference.routing.replicas import replica_of
from inference.routing.throughput import WINDOW_SECONDS, Throughput
from tests.inference.routing.test_queue import endpoint, enter, model, settle, ticket
from tests.patience import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]


@pytest.fixture(autouse=True)
def _nothing_is_known() -> Iterator[None]:
    """Begin as a process that just started."""
    known, lines = dict(replicas._replicas), dict(queue._lines)
    name = ids.process_name()
    replicas._replicas.clear()
    queue._lines.clear()
    yield
    ids.name_process(name)
    replicas._replicas.update(known)
    queue._lines.update(lines)


async def test_a_process_that_serves_alone_writes_nothing() -> None:
    replica_of(endpoint()).enter()
    async with asyncio.timeout(10):
        await reports.watch()
    assert not await ProcessReport.objects.aexists()


async def test_one_of_several_writes_what_it_knows_for_the_others(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(reports, "REPORT_SECONDS", 0.02)
    settings.WORKERS = 2
    single = endpoint()
    ids.name_process("0a0a0a0a")
    writing = asyncio.ensure_future(reports.watch())
    replica_of(single).enter()
    await eventually(ProcessReport.objects.aexists)
    ids.name_process("0b0b0b0b")
    replicas._replicas.clear()
    own, other = await asyncio.to_thread(reports.every)
    assert own == reports.Report()
    assert [(each.endpoint_id, each.running) for each in other.replicas] == [(single.id, 1)]
    writing.cancel()
    with suppress(asyncio.CancelledError):
        await writing


async def test_a_drained_replica_serves_nobody_who_waits_and_a_new_one_does() -> None:
    single, other = endpoint(), endpoint()
    before = model(single)
    line = queue.line_for(before)
    place = await line.enter(before, ticket())
    waiting = enter(line, before)
    await settle()
    assert queue.waiting() == {"a/b": 1}
    queue.hear({"a/b": model()})
    line.leave(place)
    await settle()
    assert not waiting.done()
    queue.hear({"a/b": model(other)})
    assert await waiting is replica_of(other)
    assert queue.waiting() == {"a/b": 0}
    line.leave(replica_of(other))


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
