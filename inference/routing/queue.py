"""The queue in front of one model's replicas: projects take turns, and each is served in its own order of arrival.

Turns that a project let pass while others waited are kept for it, within bounds (``inference.routing.fair_share``).
So one that asks for little is served as if it were nearly alone, however many requests of others wait; those who always
wait take turns.
"""

import asyncio
import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from django.conf import settings

from inference.catalog.snapshots import ModelSnapshot
from inference.errors import EngineOverloaded, EngineUnavailable
from inference.routing.fair_share import Turns
from inference.routing.replicas import Replica, Replicas, choose

# From so many of the latest services the wait is estimated; older ones tell of another time of day.
SERVICES_REMEMBERED: Final = 32

_arrivals = itertools.count()


class QueuePosition(NamedTuple):
    """How many are served up to this one, itself included, and about how long that takes; None before that is known."""

    position: int
    wait_seconds: int | None


class QueueEntry:
    """One request that wants a slot: whose it is, its affinity, and which replicas failed it.

    A replica that cannot do what it asks has failed it before it was tried. ``on_slot`` is called with the replica
    once its turn has come, ``on_refusal`` when it has to go because the queue is full.
    """

    __slots__ = (
        "_arrival",
        "_entered_at",
        "_granted",
        "_has_waited",
        "_queue",
        "_trial",
        "affinity",
        "failed",
        "on_refusal",
        "on_slot",
        "project_id",
    )

    def __init__(
        self,
        project_id: int,
        affinity: int,
        on_slot: Callable[[Replica], None],
        on_refusal: Callable[[EngineOverloaded], None],
    ) -> None:
        self.project_id = project_id
        self.affinity = affinity
        self.on_slot = on_slot
        self.on_refusal = on_refusal
        self.failed: set[Replica] = set()
        self._arrival = next(_arrivals)
        # While it waits.
        self._queue: Queue | None = None
        # Between its turn and its being told so.
        self._granted: Replica | None = None
        self._entered_at = 0.0
        self._has_waited = False
        # Its number, if it tries a replica whose breaker is not closed.
        self._trial: int | None = None

    @property
    def position(self) -> QueuePosition | None:
        """Where it waits; None when it does not."""
        return self._queue.position_of(self) if self._queue else None


class Queue:
    """Those who wait for a slot at one model's replicas."""

    def __init__(self, replicas: Replicas) -> None:
        self._registry = replicas
        # Whoever was served goes to the end: the order among those who have had as many turns.
        self._projects: dict[int, deque[QueueEntry]] = {}
        self._turns = Turns()
        # As the last to arrive, or the last look into the catalogue, knew them.
        self._model: ModelSnapshot | None = None
        self._replicas: list[Replica] = []
        self._slots = 0
        self._served: deque[float] = deque(maxlen=SERVICES_REMEMBERED)

    def __len__(self) -> int:
        """How many wait."""
        # For any thread: the copy is made in one piece.
        return sum(len(waiting) for waiting in tuple(self._projects.values()))

    def enter(self, model: ModelSnapshot, entry: QueueEntry) -> Replica | None:
        """Take a slot at a replica that has not failed this request; None: it waits, and will be called.

        ``leave`` gives the slot back, ``abandon`` ends the waiting. Raises EngineUnavailable when there is no such
        replica; EngineOverloaded when QUEUE_LENGTH requests wait, for the last of whichever project has most of them.
        """
        if model is not self._model:
            self.learn(model)
        if self.has_failed(entry):
            raise EngineUnavailable
        if not self._projects and (replica := choose(self._replicas, entry.affinity, entry.failed)):
            entry._entered_at, entry._has_waited = time.monotonic(), False
            entry._trial = replica.enter()
            return replica
        self._join(entry)
        return None

    def learn(self, model: ModelSnapshot) -> None:
        """Take what the catalogue says now: a replica that was added serves who waits, one that is drained does not."""
        self._model = model
        self._replicas = [self._registry.of(endpoint) for endpoint in model.endpoints]
        self._slots = sum(replica.slots for replica in self._replicas)
        self._serve()

    def has_failed(self, entry: QueueEntry) -> bool:
        """Whether every replica has failed it."""
        return entry.failed.issuperset(self._replicas)

    def leave(self, replica: Replica, entry: QueueEntry) -> None:
        """Give a slot back; the next who waits gets it."""
        replica.leave(entry._trial)
        seconds = time.monotonic() - entry._entered_at
        self._turns.end(entry.project_id, seconds, self._slots, is_counted=entry._has_waited)
        if self._projects:
            self._serve()

    def abandon(self, entry: QueueEntry) -> None:
        """Wait no longer; a slot that was granted at this very moment goes to the next."""
        if entry._queue:
            self._remove(entry)
        elif entry._granted:
            replica, entry._granted = entry._granted, None
            replica.leave(entry._trial)
            self._serve()

    def refusal(self) -> EngineOverloaded:
        """Return what one hears who waited too long, or found too many waiting."""
        return EngineOverloaded(retry_after_seconds=self._wait_seconds(len(self)))

    def position_of(self, entry: QueueEntry) -> QueuePosition:
        """Say who is served before it if everybody stays, and how long that takes by the pace of late."""
        own = self._projects[entry.project_id]
        rank = position = own.index(entry)
        is_before = True
        for project, waiting in self._projects.items():
            if waiting is own:
                is_before = False
                continue
            lead = self._turns.had_by(entry.project_id) - self._turns.had_by(project)
            # Once they have had as many turns, the one that had more at first is the one that has waited longer.
            wins_tie = lead.is_integer() and (is_before if lead == 0 else lead < 0)
            position += min(len(waiting), max(0, math.ceil(lead) + rank + wins_tie))
        return QueuePosition(position + 1, self._wait_seconds(position + 1))

    def _wait_seconds(self, position: int) -> int | None:
        if len(self._served) < 2:
            return None
        # Up to now, not to the last service: a queue that has come to a stop shows.
        pace = (time.monotonic() - self._served[0]) / len(self._served)
        return max(1, math.ceil(position * pace))

    def _join(self, entry: QueueEntry) -> None:
        if len(self) >= settings.QUEUE_LENGTH:
            self._make_room(entry.project_id)
        if not self._projects:
            self._turns.forget()
            # The pace of an earlier rush tells nothing of this one.
            self._served.clear()
        if entry.project_id not in self._projects:
            self._turns.join(entry.project_id, self._slots)
        waiting = self._projects.setdefault(entry.project_id, deque())
        # Who was failed by a replica has waited already, and so have those who came before.
        came_later = (place for place, other in enumerate(waiting) if entry.failed and other._arrival > entry._arrival)
        waiting.insert(next(came_later, len(waiting)), entry)
        entry._queue = self
        self._serve()

    def _make_room(self, project_id: int) -> None:
        """Refuse the last of the project that waits most; nobody fills the queue for all the others."""
        greediest = max(self._projects, key=lambda each: len(self._projects[each]))
        if len(self._projects[greediest]) <= len(self._projects.get(project_id, ())) + 1:
            raise self.refusal()
        last = self._projects[greediest][-1]
        refusal = self.refusal()
        self._remove(last)
        asyncio.get_running_loop().call_soon(last.on_refusal, refusal)

    def _remove(self, entry: QueueEntry) -> None:
        entry._queue = None
        waiting = self._projects[entry.project_id]
        waiting.remove(entry)
        if not waiting:
            del self._projects[entry.project_id]

    def _serve(self) -> None:
        """Grant what slots there are; those whose turn it is hear of it in the loop's next turn, not within this."""
        while served := self._next():
            entry, replica = served
            waiting = self._projects.pop(entry.project_id)
            waiting.remove(entry)
            entry._queue = None
            if waiting:
                self._projects[entry.project_id] = waiting
            self._turns.take(entry.project_id)
            entry._entered_at, entry._has_waited = time.monotonic(), True
            self._served.append(entry._entered_at)
            entry._granted = replica
            entry._trial = replica.enter()
            asyncio.get_running_loop().call_soon(self._tell, entry)

    def _tell(self, entry: QueueEntry) -> None:
        if entry._granted:
            replica, entry._granted = entry._granted, None
            entry.on_slot(replica)

    def _next(self) -> tuple[QueueEntry, Replica] | None:
        if not any(replica.is_free for replica in self._replicas):
            return None
        # Whom these have failed, nobody else has a slot for: it is the same for all who wait for the same.
        hopeless: list[set[Replica]] = []
        for project in sorted(self._projects, key=self._turns.had_by):
            for entry in self._projects[project]:
                if any(entry.failed >= failed for failed in hopeless):
                    continue
                if replica := choose(self._replicas, entry.affinity, entry.failed):
                    return entry, replica
                if not entry.failed:
                    # No replica has a slot.
                    return None
                hopeless.append(entry.failed)
        return None


class Queues:
    """The queues of one process, one for each model."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self._queues: dict[str, Queue] = {}

    def of(self, model: ModelSnapshot) -> Queue:
        """Return the queue of a model."""
        queue = self._queues.get(model.id)
        if queue is None:
            queue = self._queues[model.id] = Queue(self._replicas)
        return queue

    def learn(self, models: Mapping[str, ModelSnapshot]) -> None:
        """Let every queue know the replicas of its model, though nobody new arrives."""
        for model_id, queue in self._queues.items():
            if model := models.get(model_id):
                queue.learn(model)

    def waiting(self) -> dict[str, int]:
        """Return how many wait for each model; for any thread."""
        return {model_id: len(queue) for model_id, queue in tuple(self._queues.items())}
