"""What one serving process shares among all of its requests, built when its server starts; see docs/decisions.

It reaches code through the scope's state. Pages and commands have no scope: ``serving`` names the process's own.
"""

import asyncio
from contextlib import AsyncExitStack
from typing import Any, Self

from django.conf import settings

from core.deadlines import Deadlines
from inference.catalog.snapshots import Catalog
from inference.concurrency.admission import Admission
from inference.concurrency.local import InFlight, InFlightHere
from inference.concurrency.slots import Slots
from inference.limits import Limits
from inference.routing.health import Known
from inference.routing.queue import Queues
from inference.routing.replicas import Replicas
from inference.runs.registry import LiveRuns
from inference.transport.client import HttpClient

# That of the server in this process. Pages and commands that look at what it does have no scope to find it in.
_serving: "Runtime | None" = None


def serving() -> "Runtime | None":
    """Return the Runtime of this process's server, if it is one that serves."""
    return _serving


class Runtime:
    """For one event loop. ``in_flight`` counts requests on this machine, if others count there too."""

    def __init__(self, in_flight: InFlight | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.deadlines = Deadlines(self.loop)
        self.http = HttpClient()
        self.catalog = Catalog()
        self.replicas = Replicas(self.http)
        self.queues = Queues(self.replicas)
        self.runs = LiveRuns(self.loop)
        self.slots = Slots(in_flight or InFlightHere())
        self.browser_slots = Slots(InFlightHere())
        self.admission = Admission(self.slots)
        # What pages found out of the endpoints a moment ago.
        self.endpoint_health: Known = {}
        self._closing = AsyncExitStack()
        self.read_settings()

    def read_settings(self) -> None:
        """Take the limits that the settings say now: a look-up there costs more than what it is for."""
        self.limits = Limits.read()
        self.admission.limits.read_settings()

    async def __aenter__(self) -> Self:
        """Serve: count over all machines, if there is a REDIS_URL, and hear of changes."""
        global _serving  # noqa: PLW0603 - see there
        _serving = self
        if settings.REDIS_URL:
            # Late: most sites do without.
            from inference.concurrency.redis_slots import RedisSlots

            everywhere = await self._closing.enter_async_context(RedisSlots())
            self.slots.everywhere = self.browser_slots.everywhere = everywhere
        self.runs.watch_access()
        return self

    async def __aexit__(self, *error: object) -> None:
        """End every run, and close every connection."""
        global _serving  # noqa: PLW0603 - see there
        if _serving is self:
            _serving = None
        await self.runs.shut_down()
        await self._closing.aclose()
        self.slots.everywhere = self.browser_slots.everywhere = None
        await self.http.close()

    @classmethod
    def of(cls, scope: Any) -> "Runtime":
        """Return the Runtime of the server that an ASGI scope comes from."""
        runtime: Runtime = scope["state"]["runtime"]
        return runtime
