"""The course of it: one trouble after the other while clients call, the recovery from each, and the report."""

import asyncio
import logging
import random
import statistics
import time
from typing import Final

from django.db import connections

from inference.models import Endpoint
from proofs.checks import Disproved, must
from tests.inference.scenes import register
from tests.proofs.chaos.auditor import grown, memory_mib, must_be_right
from tests.proofs.chaos.clients import Callers, Crowd
from tests.proofs.chaos.faults import NORMAL, faults, one_of
from tests.proofs.chaos.site import Site
from tests.proofs.customers import caller_in, customer
from tests.proofs.load import client

# How long a fault lasts, and the calm before the next.
FAULT_SECONDS: Final = (0.5, 6.0)
CALM_SECONDS: Final = (1.0, 4.0)
# Within this after a fault, the site must serve as ever.
RECOVERY_SECONDS: Final = 60.0
CLIENTS_OF_A_KIND: Final = 3
PLENTY_NANO: Final = 10**15
POOR_NANO: Final = 10**6
# A shorter life of a process says nothing of how it grows.
LONG_SECONDS: Final = 300
MODEL: Final = "chaos/fox"


class Course:
    """One run of chaos on a site whose database this process is connected to."""

    def __init__(self, site: Site, chance: random.Random, only: str) -> None:
        """``only`` chooses the faults whose name has it in it."""
        # A line for each of thousands of requests would hide the faults.
        logging.getLogger("httpx2").setLevel(logging.WARNING)
        self._site, self._chance = site, chance
        _put_model_on(site)
        plenty = customer(PLENTY_NANO)
        once = caller_in(plenty.team.projects.create(slug="once"), plenty.team.memberships.get().user)
        self._callers = Callers(plenty, once, customer(POOR_NANO))
        self._crowd = Crowd(site, MODEL, self._callers, chance)
        site.serve()
        self._faults = {name: fault for name, fault in faults(site).items() if only in name}
        self._recoveries: list[float] = []
        # The memory of each web process when it first served as ever, by process id.
        self._settled_mib: dict[int, float] = {}

    def run(self, seconds: float) -> int:
        """Cause trouble for a while, have the books audited, print a report, and return the exit status."""
        try:
            # PostgreSQL will be killed: nobody keeps a connection to it.
            connections.close_all()
            asyncio.run(self._trouble(seconds))
            audit = must_be_right(self._callers, self._crowd.seen)
            wrong = self._crowd.seen.wrong
            must(not wrong, f"{len(wrong)} answers were wrong, such as: {'; '.join(wrong[:5])}")
            processes = grown(self._settled_mib) if seconds >= LONG_SECONDS else []
            must(not processes, f"web processes have grown: {', '.join(processes)}")
        except (Disproved, AssertionError, TimeoutError) as broken:
            self._report()
            print(f"DISPROVED: {broken or 'it did not recover in time'}")
            return 1
        self._report()
        median, longest = statistics.median(self._recoveries), max(self._recoveries)
        print(f"{len(self._recoveries)} faults; served as ever {median:.1f} s after (median), {longest:.1f} s at most.")
        print(f"Proved: {audit}.")
        return 0

    async def _trouble(self, seconds: float) -> None:
        calling = asyncio.create_task(self._crowd.call(CLIENTS_OF_A_KIND))
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline:
                await asyncio.sleep(self._chance.uniform(*CALM_SECONDS))
                await self._fault()
        finally:
            self._crowd.leave()
            await calling
        await self._crowd.finish()

    async def _fault(self) -> None:
        """Have one fault begin and end, and wait until the site has recovered. Raises TimeoutError."""
        trouble = one_of(self._faults, self._chance)
        self._crowd.outages.begin()
        name = await asyncio.to_thread(trouble.__enter__)
        try:
            await asyncio.sleep(self._chance.uniform(*FAULT_SECONDS))
        finally:
            await asyncio.to_thread(trouble.__exit__, None, None, None)
        print(name, end=": ", flush=True)
        self._recoveries.append(await self._recovery())
        self._crowd.outages.end()
        print(f"served as ever {self._recoveries[-1]:.1f} s after", flush=True)
        for process in self._site.processes:
            self._settled_mib.setdefault(process.process.pid, memory_mib(process.process))

    async def _recovery(self) -> float:
        """Wait until every process serves as ever, from every engine, and return how long that took."""
        began_at = time.monotonic()
        async with asyncio.timeout(RECOVERY_SECONDS), client() as http:
            for process in self._site.processes:
                in_a_row = 0
                while in_a_row < 2 * len(self._site.engines):
                    in_a_row = in_a_row + 1 if await self._crowd.is_served(http, process.url) else 0
                    await asyncio.sleep(0.05)
        return time.monotonic() - began_at

    def _report(self) -> None:
        for when, outcomes in self._crowd.seen.outcomes.items():
            print(f"\nAnswers that {'an outage' if when == 'outage' else 'no outage'} touched:")
            for outcome, number in sorted(outcomes.items()):
                print(f"  {number:6} {outcome}")
        print()


def _put_model_on(site: Site) -> None:
    """Put a model into the catalogue that both engines run, reached by the wires."""
    for engine, wire in zip(site.engines, site.to_engines, strict=True):
        engine.script = NORMAL
        endpoint = register(engine, model_id=MODEL)
        Endpoint.objects.filter(pk=endpoint.pk).update(base_url=wire.of(engine.url))
