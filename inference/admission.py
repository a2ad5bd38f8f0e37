"""Who may start now: requests in flight per project, and places at a model's endpoints."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings

from inference.catalogue import EndpointSnapshot, ModelSnapshot
from inference.errors import ConcurrencyLimited, EngineOverloaded, EngineUnavailable

_in_flight: Counter[int] = Counter()


@contextmanager
def project_place(project_id: int) -> Iterator[None]:
    """Count a request against its project while it lives. Raises ConcurrencyLimited at PROJECT_CONCURRENCY."""
    if _in_flight[project_id] >= settings.PROJECT_CONCURRENCY:
        raise ConcurrencyLimited
    _in_flight[project_id] += 1
    try:
        yield
    finally:
        _in_flight[project_id] -= 1
        if not _in_flight[project_id]:
            del _in_flight[project_id]


class Queue:
    """Requests that wait for a place at one model's endpoints, served in order of arrival."""

    def __init__(self) -> None:
        self.running: Counter[int] = Counter()
        self._waiting: deque[_Waiter] = deque()
        # As the last to arrive knew it: those who wait may not have heard of a new endpoint.
        self._model: ModelSnapshot | None = None

    async def enter(self, model: ModelSnapshot, on_queued: Callable[[int], None]) -> EndpointSnapshot:
        """Take a place at the least busy endpoint, waiting for one if need be; give it back with ``leave``.

        ``on_queued`` hears the position (1 is next) whenever it changes. Raises EngineUnavailable without an endpoint,
        EngineOverloaded when QUEUE_LENGTH requests wait already or this one waited QUEUE_SECONDS.
        """
        if not model.endpoints:
            raise EngineUnavailable
        self._model = model
        self._serve()
        if not self._waiting and (endpoint := self._free_endpoint()):
            self.running[endpoint.id] += 1
            return endpoint
        if len(self._waiting) >= settings.QUEUE_LENGTH:
            raise EngineOverloaded
        waiter = _Waiter(on_queued)
        self._waiting.append(waiter)
        on_queued(len(self._waiting))
        try:
            async with asyncio.timeout(settings.QUEUE_SECONDS):
                return await waiter.place
        except TimeoutError:
            self._abandon(waiter)
            raise EngineOverloaded from None
        except asyncio.CancelledError:
            self._abandon(waiter)
            raise

    def leave(self, endpoint: EndpointSnapshot) -> None:
        """Give a place back; the next in line gets it."""
        self.running[endpoint.id] -= 1
        self._serve()

    def _abandon(self, waiter: "_Waiter") -> None:
        """Leave the line; a place that was handed over at the very moment of giving up goes to the next."""
        if waiter in self._waiting:
            self._waiting.remove(waiter)
            self._tell_positions()
        elif not waiter.place.cancelled():
            self.leave(waiter.place.result())

    def _serve(self) -> None:
        served = False
        while self._waiting and (endpoint := self._free_endpoint()):
            waiter = self._waiting.popleft()
            # A cancelled waiter has not yet run to leave the line by itself.
            if not waiter.place.cancelled():
                self.running[endpoint.id] += 1
                waiter.place.set_result(endpoint)
            served = True
        if served:
            self._tell_positions()

    def _tell_positions(self) -> None:
        for position, waiter in enumerate(self._waiting, start=1):
            waiter.on_queued(position)

    def _free_endpoint(self) -> EndpointSnapshot | None:
        endpoints = self._model.endpoints if self._model else ()
        free = [each for each in endpoints if self.running[each.id] < each.concurrency]
        return min(free, key=lambda each: self.running[each.id] / each.concurrency, default=None)


class _Waiter:
    """One request in line; ``place`` becomes the endpoint it may use."""

    def __init__(self, on_queued: Callable[[int], None]) -> None:
        self.on_queued = on_queued
        self.place: asyncio.Future[EndpointSnapshot] = asyncio.get_running_loop().create_future()


_queues: dict[str, Queue] = {}


def queue_for(model: ModelSnapshot) -> Queue:
    """Return the one queue of this process for a model."""
    return _queues.setdefault(model.id, Queue())
