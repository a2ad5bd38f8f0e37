"""The line in front of one model's replicas: projects take turns, and each is served in its own order of arrival."""

import asyncio
import math
import time
from collections import deque
from typing import Final, NamedTuple

from django.conf import settings

from inference.catalogue import ModelSnapshot
from inference.errors import EngineOverloaded, EngineUnavailable
from inference.replicas import Replica, choose, replica_of

# From so many of the latest services the wait is estimated; older ones tell of another time of day.
SERVICES_REMEMBERED: Final = 32


class PlaceInLine(NamedTuple):
    """How many are served up to this one, itself included, and about how long that takes; None before that is known."""

    position: int
    wait_seconds: int | None


class Ticket:
    """One request on its way to a place: whose it is, where its conversation's beginning is, and who failed it."""

    def __init__(self, project_id: int, affinity: int) -> None:
        self.project_id = project_id
        self.affinity = affinity
        self.failed: set[Replica] = set()
        self._line: Line | None = None
        self._given: asyncio.Future[Replica]

    @property
    def place(self) -> "PlaceInLine | None":
        """Where it is in line; None when it is not."""
        return self._line.place_of(self) if self._line else None


class Line:
    """Those who wait for a place at one model's replicas, and the places."""

    def __init__(self) -> None:
        # In order of turns: whoever was served goes to the end.
        self._projects: dict[int, deque[Ticket]] = {}
        # As the last to arrive knew them: those who wait may not have heard of a new one.
        self._replicas: list[Replica] = []
        self._served: deque[float] = deque(maxlen=SERVICES_REMEMBERED)

    def __len__(self) -> int:
        """How many wait."""
        return sum(len(line) for line in self._projects.values())

    async def enter(self, model: ModelSnapshot, ticket: Ticket) -> Replica:
        """Take a place at a replica that has not failed this request, waiting for one; ``leave`` gives it back.

        Raises EngineUnavailable when there is no such replica; EngineOverloaded after QUEUE_SECONDS, or when
        QUEUE_LENGTH requests wait, for the last of whichever project has most of them.
        """
        self._replicas = [replica_of(endpoint) for endpoint in model.endpoints]
        if ticket.failed.issuperset(self._replicas):
            raise EngineUnavailable
        self._serve()
        if not self._projects and (replica := choose(self._replicas, ticket.affinity, ticket.failed)):
            replica.enter()
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

    def leave(self, replica: Replica) -> None:
        """Give a place back; the next in line gets it."""
        replica.leave()
        self._serve()

    def place_of(self, ticket: Ticket) -> PlaceInLine:
        """Say who is served before it if everybody stays, and how long that takes by the pace of late."""
        own = self._projects[ticket.project_id]
        rank = position = own.index(ticket)
        is_before = True
        for line in self._projects.values():
            if line is own:
                is_before = False
            else:
                position += min(len(line), rank + is_before)
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
        line = self._projects.setdefault(ticket.project_id, deque())
        # Who was let down by a replica has waited already.
        line.appendleft(ticket) if ticket.failed else line.append(ticket)
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
            self.leave(ticket._given.result())

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
                self._served.append(time.monotonic())
                replica.enter()
                ticket._given.set_result(replica)

    def _next(self) -> tuple[Ticket, Replica] | None:
        for line in self._projects.values():
            replica = choose(self._replicas, line[0].affinity, line[0].failed)
            if replica:
                return line[0], replica
        return None


_lines: dict[str, Line] = {}


def line_for(model: ModelSnapshot) -> Line:
    """Return the one line of this process for a model."""
    return _lines.setdefault(model.id, Line())
