"""The servers that answer for a model, as this process knows them: how busy each is, and whether it works."""

import time
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from django.conf import settings
from django.utils import timezone

from inference.catalog.snapshots import EndpointSnapshot
from inference.errors import EngineError, EngineOverloaded, EngineRefused, EngineUnavailable
from inference.routing.circuit_breaker import Circuit
from inference.routing.throughput import Throughput

# A conversation goes back to where its beginning is in the cache, unless that replica is busier than the least busy one
# by more than this share of its places.
AFFINITY_SLACK: Final = 0.25
# One that called itself full is left alone for so long, as far as others have places: it refuses quickly, and would
# look like the least busy of all.
FULL_SECONDS: Final = 1.0


class Failure(NamedTuple):
    """How a replica let us down last, and when."""

    error: str
    at: datetime


class Replica:
    """One endpoint."""

    def __init__(self, endpoint: EndpointSnapshot) -> None:
        self.endpoint = endpoint
        self.running = 0
        self.circuit = Circuit()
        self.throughput = Throughput()
        self.last_failure: Failure | None = None
        self._full_until = 0.0

    @property
    def places(self) -> int:
        """How many requests this process may have there: its share, where several serve."""
        return max(1, self.endpoint.concurrency // settings.WORKERS)

    @property
    def load(self) -> float:
        """The share of its places that are taken."""
        return self.running / self.places

    @property
    def is_free(self) -> bool:
        """Whether it has a place."""
        return self.running < self.places

    @property
    def says_full(self) -> bool:
        """Whether it said lately that it has no place, whatever we know of."""
        return time.monotonic() < self._full_until

    def enter(self) -> int | None:
        """Take a place; return the trial's number where this is one, for ``leave``."""
        self.running += 1
        return self.circuit.attempt()

    def leave(self, trial: int | None = None) -> None:
        """Give the place back."""
        self.running -= 1
        if trial is not None:
            self.circuit.give_up(trial)

    def fail(self, error: EngineError, *, has_begun: bool = False) -> None:
        """Note how a request failed, before its first token or after it.

        A refusal is the request's own fault, and a full server is no broken one.
        """
        if isinstance(error, EngineRefused):
            return
        self.last_failure = Failure(f"{type(error).__name__}: {error}", timezone.now())
        if isinstance(error, EngineOverloaded):
            self._full_until = time.monotonic() + FULL_SECONDS
        elif has_begun:
            self.circuit.break_off()
        else:
            self.circuit.fail(at_once=isinstance(error, EngineUnavailable))

    def fall_silent(self) -> None:
        """Note that it does not answer health checks."""
        self.last_failure = Failure("It does not answer health checks", timezone.now())
        self.circuit.fall_silent()


_replicas: dict[int, Replica] = {}


def replica_of(endpoint: EndpointSnapshot) -> Replica:
    """Return what is known of an endpoint; one that moved to another address is another server."""
    replica = _replicas.get(endpoint.id)
    if replica is None or replica.endpoint.base_url != endpoint.base_url:
        replica = _replicas[endpoint.id] = Replica(endpoint)
    replica.endpoint = endpoint
    return replica


def known() -> list[Replica]:
    """Return every replica that was ever asked here, those that are drained included; for any thread."""
    return list(_replicas.values())


def choose(replicas: Sequence[Replica], affinity: int, failed: Collection[Replica] = ()) -> Replica | None:
    """Return the replica to ask next; None while none has a place.

    Requests with the same ``affinity`` go to the same one (rendezvous hashing: a replica that comes or goes moves only
    its own conversations), else to the least busy. Where no replica is trusted, trying one is better than giving up.
    """
    untried = [replica for replica in replicas if replica not in failed]
    working = [replica for replica in untried if replica.circuit.lets_through] or untried
    free = [replica for replica in working if replica.is_free]
    free = [replica for replica in free if not replica.says_full] or free
    if len(free) < 2:
        return free[0] if free else None
    least = min(replica.load for replica in free)
    favourite = max(working, key=lambda replica: hash((affinity, replica.endpoint.id)))
    if favourite in free and favourite.load <= least + AFFINITY_SLACK:
        return favourite
    return min(free, key=lambda replica: replica.load)
