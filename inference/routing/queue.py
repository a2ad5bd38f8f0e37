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
from collections.abc import Mapping
from typing import Final, NamedTuple

from django.conf import settings

from inference.catalog.snapshots import ModelSnapshot
from inference.errors import EngineOverloaded, EngineUnavailable
from inference.routing.fair_share import Turns
from inference.routing.replicas import Replica, choose, replica_of

# From so many of the latest services the wait is estimated; older ones tell of another time of day.
SERVICES_REMEMBERED: Final = 32


_arrivals = itertools.count()


class PlaceInLine(NamedTuple):
    """How many are served up to this one, itself included, and about how long that takes; None before that is known."""

    position: int
    wait_seconds: int | None


class Ticket:
    """One request on its way to a place: whose it is, where its conversation's beginning is, and who failed it.

    A replica that cannot do what it asks has failed it before it was tried.
    """

    def __init__(self, project_id: int, affinity: int) -> None:
        self.project_id = project_id
        self.affinity = affinity
        self.failed: set[Replica] = set()
        self._arrival = next(_arrivals)
        self._line: Line | None = None
        self._entered_at = 0.0
        self._has_waited = False
        # Its number, if it tries a replica that was left alone.
        self._trial: int | None = None
        self._given: asyncio.Future[Replica]

    @property
    def place(self) -> "PlaceInLine | None":
        """Where it is in line; None when it is not."""
        return self._line.place_of(self) if self._line else None


class Line:
    """Those who wait for a place at one model's replicas, and the places."""

    def __init__(self) -> None:
        # Whoever was served goes to the end: the order among those who have had as many turns.
        self._projects: dict[int, deque[Ticket]] = {}
        self._turns = Turns()
        # As the last to arrive, or the last look into the catalogue, knew them.
        self._replicas: list[Replica] = []
        self._served: deque[float] = deque(maxlen=SERVICES_REMEMBERED)

    def __len__(self) -> int:
        """How many wait."""
        # For any thread: the copy is made in one piece.
        return sum(len(line) for line in tuple(self._projects.values()))

    async def enter(self, model: ModelSnapshot, ticket: Ticket) -> Replica:
        """Take a place at a replica that has not failed this request, waiting for one; ``leave`` gives it back.

        Raises EngineUnavailable when there is no such replica; EngineOverloaded after QUEUE_SECONDS, or when
        QUEUE_LENGTH requests wait, for the last of whichever project has most of them.
        """
        self.know(model)
        if self.has_failed(ticket):
            raise EngineUnavailable
        if not self._projects and (replica := choose(self._replicas, ticket.affinity, ticket.failed)):
            ticket._entered_at, ticket._has_waited = time.monotonic(), False
            ticket._trial = replica.enter()
            return replica
        self._join(ticket)
        try:
            async with asyncio.timeout(settings.QUEUE_SECONDS):
                return await ticket._given
        except TimeoutError:
            self._abandon(ticket)
            raise EngineOverloaded(retry_after_seconds=self._wait_seconds(len(self))) from None
        except asyncio.CancelledError:
            self._abandon(ticket)
            raise

    def know(self, model: ModelSnapshot) -> None:
        """Learn which replicas there are now: one that was added serves who waits, one that is drained does not."""
        self._replicas = [replica_of(endpoint) for endpoint in model.endpoints]
        self._serve()

    def has_failed(self, ticket: Ticket) -> bool:
        """Whether every replica has failed it."""
        return ticket.failed.issuperset(self._replicas)

    def leave(self, replica: Replica, ticket: Ticket | None = None) -> None:
        """Give a place back; the next in line gets it. Without the ticket, it was not used."""
        replica.leave(ticket._trial if ticket else None)
        if ticket:
            seconds = time.monotonic() - ticket._entered_at
            self._turns.took(ticket.project_id, seconds, self._places, is_counted=ticket._has_waited)
        self._serve()

    @property
    def _places(self) -> int:
        return sum(replica.places for replica in self._replicas)

    def place_of(self, ticket: Ticket) -> PlaceInLine:
        """Say who is served before it if everybody stays, and how long that takes by the pace of late."""
        own = self._projects[ticket.project_id]
        rank = position = own.index(ticket)
        is_before = True
        for project, line in self._projects.items():
            if line is own:
                is_before = False
                continue
            lead = self._turns.had_by(ticket.project_id) - self._turns.had_by(project)
            # Once they have had as many turns, the one that had more at first is the one that has waited longer.
            wins_tie = lead.is_integer() and (is_before if lead == 0 else lead < 0)
            position += min(len(line), max(0, math.ceil(lead) + rank + wins_tie))
        return PlaceInLine(position + 1, self._wait_seconds(position + 1))

    def _wait_seconds(self, position: int) -> int | None:
        if len(self._served) < 2:
            return None
        # Up to now, not to the last service: a line that has come to a stop shows.
        pace = (time.monotonic() - self._served[0]) / len(self._served)
        return max(1, math.ceil(position * pace))

    def _join(self, ticket: Ticket) -> None:
        if len(self) >= settings.QUEUE_LENGTH:
            self._make_room(ticket.project_id)
        if not self._projects:
            self._turns.forget()
            # The pace of an earlier rush tells nothing of this one.
            self._served.clear()
        if ticket.project_id not in self._projects:
            self._turns.join(ticket.project_id, self._places)
        line = self._projects.setdefault(ticket.project_id, deque())
        # Who was let down by a replica has waited already, and so have those who came before.
        came_later = (place for place, other in enumerate(line) if ticket.failed and other._arrival > ticket._arrival)
        line.insert(next(came_later, len(line)), ticket)
        ticket._line = self
        ticket._given = asyncio.get_running_loop().create_future()
        self._serve()

    def _make_room(self, project_id: int) -> None:
        """Refuse the last of the project that waits most; nobody fills the line for all the others."""
        greediest = max(self._projects, key=lambda each: len(self._projects[each]))
        full = EngineOverloaded(retry_after_seconds=self._wait_seconds(len(self)))
        if len(self._projects[greediest]) <= len(self._projects.get(project_id, ())) + 1:
            raise full
        last = self._projects[greediest][-1]
        self._remove(last)
        # One that is cancelled has not yet run to leave by itself.
        if not last._given.cancelled():
            last._given.set_exception(full)

    def _abandon(self, ticket: Ticket) -> None:
        """Leave the line; a place that was handed over at the very moment of giving up goes to the next."""
        if ticket._line:
            self._remove(ticket)
        elif not ticket._given.cancelled() and not ticket._given.exception():
            ticket._given.result().leave(ticket._trial)
            self._serve()

    def _remove(self, ticket: Ticket) -> None:
        ticket._line = None
        line = self._projects[ticket.project_id]
        line.remove(ticket)
        if not line:
            del self._projects[ticket.project_id]

    def _serve(self) -> None:
        while served := self._next():
            ticket, replica = served
            line = self._projects.pop(ticket.project_id)
            line.remove(ticket)
            ticket._line = None
            if line:
                self._projects[ticket.project_id] = line
            # A cancelled one has not yet run to leave the line by itself.
            if not ticket._given.cancelled():
                self._turns.take(ticket.project_id)
                ticket._entered_at, ticket._has_waited = time.monotonic(), True
                self._served.append(ticket._entered_at)
                ticket._trial = replica.enter()
                ticket._given.set_result(replica)

    def _next(self) -> tuple[Ticket, Replica] | None:
        if not any(replica.is_free for replica in self._replicas):
            return None
        # Whom these have failed, nobody else has a place for: it is the same for all who wait for the same.
        hopeless: list[set[Replica]] = []
        for project in sorted(self._projects, key=self._turns.had_by):
            for ticket in self._projects[project]:
                if any(ticket.failed >= failed for failed in hopeless):
                    continue
                if replica := choose(self._replicas, ticket.affinity, ticket.failed):
                    return ticket, replica
                if not ticket.failed:
                    # No replica has a place.
                    return None
                hopeless.append(ticket.failed)
        return None


_lines: dict[str, Line] = {}


def line_for(model: ModelSnapshot) -> Line:
    """Return the one line of this process for a model."""
    return _lines.setdefault(model.id, Line())


def hear(models: Mapping[str, ModelSnapshot]) -> None:
    """Let every line know the replicas of its model, though nobody new arrives."""
    for model_id, line in _lines.items():
        if model := models.get(model_id):
            line.know(model)


def waiting() -> dict[str, int]:
    """Return how many wait for each model; for any thread."""
    return {model_id: len(line) for model_id, line in tuple(_lines.items())}
