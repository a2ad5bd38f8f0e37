"""The runs of this process while they live: found by the Idempotency-Key that they answer, ended when access ends."""

import asyncio
from typing import Any, Protocol
from uuid import UUID

from accounts.models import TOPIC
from core import changes
from inference.errors import EngineUnavailable
from inference.models import Run
from inference.runs import run as runs
from inference.runs.buffer import Buffer
from inference.runs.idempotency_keys import Claim
from inference.runs.receipt import Receipt


class LocalRun(runs.Run, Protocol):
    """A run of this process, as whoever finds it here knows it."""

    claim: Claim | None
    buffer: Buffer
    receipt: Receipt

    def stop(self, ending: Run.Ending = Run.Ending.STOPPED, failure: Exception | None = None) -> None:
        """End the generation now; ``failure`` is what those who still subscribe will hear."""

    async def ended(self) -> Receipt:
        """Return the complete receipt once the charge is settled."""

    def check_access(self) -> None:
        """End it if its caller may not call any more."""


class LiveRuns:
    """Those of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._runs: set[LocalRun] = set()
        self._claiming: dict[UUID, LocalRun] = {}
        # Look-ups of Idempotency-Keys, shared by all who ask for the same one meanwhile.
        self.looking_up: dict[UUID, asyncio.Task[Any]] = {}

    def __len__(self) -> int:
        """How many are not charged yet."""
        return len(self._runs)

    def add(self, run: LocalRun) -> None:
        """Remember a run from its start."""
        self._runs.add(run)
        if run.claim:
            self._claiming[run.claim.id] = run

    def discard(self, run: LocalRun) -> None:
        """Forget an ended run."""
        self._runs.discard(run)
        if run.claim and self._claiming.get(run.claim.id) is run:
            del self._claiming[run.claim.id]

    def claiming(self, claim_id: UUID) -> LocalRun | None:
        """Return the run that answers for an Idempotency-Key, until its answer is kept."""
        return self._claiming.get(claim_id)

    def watch_access(self) -> None:
        """End runs whose caller loses access, within a second of the change."""
        changes.subscribe(TOPIC, self._access_changed)

    async def shut_down(self) -> None:
        """End every run, and return when each is charged; for a process that ends."""
        changes.unsubscribe(TOPIC, self._access_changed)
        runs = tuple(self._runs)
        for run in runs:
            run.stop(Run.Ending.SHUTDOWN, EngineUnavailable())
        await asyncio.gather(*(run.ended() for run in runs))

    def _access_changed(self) -> None:
        """Have every run's access checked again; called in the watcher's thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._check_access)

    def _check_access(self) -> None:
        for run in tuple(self._runs):
            run.check_access()
