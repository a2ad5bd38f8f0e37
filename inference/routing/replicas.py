"""The servers that answer for a model, as this process knows them: how busy each is, and whether it works."""

import time
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from django.conf import settings
from django.utils import timezone

from inference.catalog.snapshots import EndpointSnapshot
from inference.engines import engine_for
from inference.engines.base import Engine
from inference.engines.load import Load
from inference.errors import EngineError, EngineOverloaded, EngineRefused, EngineUnavailable
from inference.routing.circuit_breaker import CircuitBreaker
from inference.routing.throughput import Throughput
from inference.transport.client import HttpClient

# A conversation goes back to where its beginning is in the cache, unless that replica is busier than the least busy one
# by more than this share of its slots.
AFFINITY_SLACK: Final = 0.25
# One that called itself full is not asked for so long, as far as others have slots: it refuses quickly, and would look
# like the least busy of all.
FULL_SECONDS: Final = 1.0
# Below this share, conversations that an engine keeps in its memory are no reason to go elsewhere.
FULL_CACHE_SHARE: Final = 0.9


class Failure(NamedTuple):
    """How a replica failed last, and when."""

    error: str
    at: datetime


class Replica:
    """One endpoint, and the engine that is called there."""

    def __init__(self, endpoint: EndpointSnapshot, engine: Engine) -> None:
        self.running = 0
        self.circuit = CircuitBreaker()
        self.throughput = Throughput()
        self.last_failure: Failure | None = None
        # What it said of itself at the last health check.
        self.told: Load | None = None
        self._full_until = 0.0
        self.learn(endpoint, engine)

    def learn(self, endpoint: EndpointSnapshot, engine: Engine) -> None:
        """Take what the catalogue says of the endpoint now."""
        self.endpoint = endpoint
        self.engine = engine
        # How many requests this process may have there: its share, where several serve.
        self.slots = max(1, endpoint.concurrency // settings.WORKERS)

    @property
    def load(self) -> float:
        """The share of its slots that are taken: by us, or by everybody, as far as it tells."""
        own = self.running / self.slots
        if self.told is None:
            return own
        everybody = (self.told.running + self.told.waiting) / self.endpoint.concurrency
        return max(own, everybody, self.told.cache_share if self.told.cache_share > FULL_CACHE_SHARE else 0.0)

    @property
    def is_queueing(self) -> bool:
        """Whether requests wait inside of it."""
        return self.told is not None and self.told.waiting > 0

    @property
    def is_free(self) -> bool:
        """Whether it has a slot."""
        return self.running < self.slots

    @property
    def says_full(self) -> bool:
        """Whether it said lately that it takes no more, whatever we know of."""
        return time.monotonic() < self._full_until

    def enter(self) -> int | None:
        """Take a slot; return the trial's number where this is one, for ``leave``."""
        self.running += 1
        return self.circuit.begin_request()

    def leave(self, trial: int | None = None) -> None:
        """Give the slot back."""
        self.running -= 1
        if trial is not None:
            self.circuit.end_trial(trial)

    def record_failure(self, error: EngineError, *, has_begun: bool = False) -> None:
        """Note how a request failed, before its first token or after it.

        A refusal is the request's own fault, and a full server is no broken one.
        """
        if isinstance(error, EngineRefused):
            return
        told = f" ({error.details})" if error.details else ""
        self.last_failure = Failure(f"{type(error).__name__}: {error}{told}", timezone.now())
        if isinstance(error, EngineOverloaded):
            self._full_until = time.monotonic() + FULL_SECONDS
        else:
            self.circuit.record_failure(has_begun=has_begun, is_absent=isinstance(error, EngineUnavailable))

    def record_health_check(self, *, is_well: bool) -> None:
        """Note whether it answers health checks."""
        if not is_well:
            self.last_failure = Failure("It does not answer health checks", timezone.now())
        self.circuit.record_health_check(is_well=is_well)


class Replicas:
    """Every replica that was ever asked here, those that are drained included."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self._known: dict[int, Replica] = {}

    def of(self, endpoint: EndpointSnapshot) -> Replica:
        """Return what is known of an endpoint; one that moved to another address is another server."""
        replica = self._known.get(endpoint.id)
        if replica is None or replica.endpoint.base_url != endpoint.base_url:
            replica = self._known[endpoint.id] = Replica(endpoint, engine_for(endpoint, self._http))
        elif replica.endpoint is not endpoint:
            is_same = replica.endpoint.speaks_as(endpoint)
            replica.learn(endpoint, replica.engine if is_same else engine_for(endpoint, self._http))
        return replica

    def every(self) -> list[Replica]:
        """Return all that are known; for any thread."""
        return list(self._known.values())


def choose(replicas: Sequence[Replica], affinity: int, failed: Collection[Replica] = ()) -> Replica | None:
    """Return the replica to ask next; None while none has a slot.

    Requests with the same ``affinity`` go to the same one (rendezvous hashing: a replica that comes or goes moves only
    its own conversations), else to the least busy. Where every breaker is open, trying one is better than giving up.
    """
    untried = [replica for replica in replicas if replica not in failed]
    working = [replica for replica in untried if replica.circuit.allows_request] or untried
    free = [replica for replica in working if replica.is_free]
    free = [replica for replica in free if not (replica.says_full or replica.is_queueing)] or free
    if len(free) < 2:
        return free[0] if free else None
    least = min(replica.load for replica in free)
    favourite = max(working, key=lambda replica: hash((affinity, replica.endpoint.id)))
    if favourite in free and favourite.load <= least + AFFINITY_SLACK:
        return favourite
    return min(free, key=lambda replica: replica.load)
