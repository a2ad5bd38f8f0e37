"""From a request to a replica that answers it: who may be asked, and who next, until the first token."""

from collections.abc import Callable
from typing import Final

from inference.catalog.snapshots import ModelSnapshot
from inference.chat import Chat
from inference.engines.base import Engine
from inference.errors import EngineError, EngineOverloaded, EngineRefused, UnsupportedParameter
from inference.routing.affinity import affinity_of
from inference.routing.queue import Queue, QueueEntry, QueuePosition
from inference.routing.replicas import Replica, Replicas, choose

# A request that breaks whoever answers it must not reach them all; one that finds them full breaks nobody.
MAX_ATTEMPTS: Final = 3


class Route:
    """One request's way: its place among those who wait, and which replicas failed it."""

    def __init__(
        self,
        model: ModelSnapshot,
        chat: Chat,
        project_id: int,
        queue: Queue,
        replicas: Replicas,
        *,
        on_slot: Callable[[Replica], None],
        on_refusal: Callable[[EngineError], None],
    ) -> None:
        self.model = model
        self._chat = chat
        self._queue = queue
        self._replicas = replicas
        affinity = affinity_of(project_id, chat) if len(model.endpoints) > 1 else 0
        self._entry = QueueEntry(project_id, affinity, on_slot, on_refusal)
        if len({endpoint.kind for endpoint in model.endpoints}) > 1:
            self._entry.failed |= self._unable()
        # How many replicas it may have broken.
        self._failures = 0
        # That of the replica that would most likely answer, for questions that come before.
        self.nearest = self._nearest()

    @property
    def queue_position(self) -> QueuePosition | None:
        """Where it waits; None when it does not."""
        return self._entry.position

    def engines(self) -> list[Engine]:
        """Return whom to ask before anyone answers: the nearest, then those that may be asked where it fails."""
        working = [self._replicas.of(endpoint) for endpoint in self.model.endpoints]
        working = [each for each in working if each not in self._entry.failed and each.circuit.allows_request]
        others = [each.engine for each in working if each.engine is not self.nearest]
        return [self.nearest, *others][:MAX_ATTEMPTS]

    def enter(self, model: ModelSnapshot) -> Replica | None:
        """Take a slot at a replica of the model as it is now; None: it waits. Raises what ``Queue.enter`` raises."""
        return self._queue.enter(model, self._entry)

    def leave(self, replica: Replica) -> None:
        """Give the slot back."""
        self._queue.leave(replica, self._entry)

    def abandon(self) -> EngineOverloaded:
        """Wait no longer; return what one hears who waited too long."""
        refusal = self._queue.refusal()
        self._queue.abandon(self._entry)
        return refusal

    def may_ask_another(self, replica: Replica, error: EngineError) -> bool:
        """Record that a replica failed before its first token; return whether another may be asked."""
        self._entry.failed.add(replica)
        self._failures += not isinstance(error, EngineOverloaded)
        is_final = isinstance(error, EngineRefused) or self._failures >= MAX_ATTEMPTS
        return not (is_final or self._queue.has_failed(self._entry))

    def go_on_from(self, other: "Route") -> None:
        """Count the replicas of another model that the request may have broken; one more may be asked all the same."""
        self._failures = min(other._failures, MAX_ATTEMPTS - 1)

    def _nearest(self) -> Engine:
        replicas = [self._replicas.of(endpoint) for endpoint in self.model.endpoints]
        return (choose(replicas, self._entry.affinity, self._entry.failed) or replicas[0]).engine

    def _unable(self) -> set[Replica]:
        """Return the replicas that cannot do what is asked, unless none can: then whoever is nearest says so."""
        unable = set()
        for endpoint in self.model.endpoints:
            replica = self._replicas.of(endpoint)
            try:
                replica.engine.check(self._chat)
            except UnsupportedParameter:
                unable.add(replica)
        return unable if len(unable) < len(self.model.endpoints) else set()
