"""An engine that knows for whom it was asked to generate, and whether credits were held for that."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from django.db import connection

from accounts.models import Team
from credits.ledger import audit
from credits.models import Entry, Hold
from inference.models import Run
from tests.fakes.server import Connection, Request
from tests.fakes.tgi import FakeTgi
from tests.patience import until

# What may be asked of an engine without a hold, because it generates nothing. Anything else is a generation.
QUESTIONS: Final = {
    *(("GET", path) for path in ("/health", "/info", "/v1/models")),
    *(("POST", path) for path in ("/tokenize", "/chat_tokenize")),
}


@dataclass(eq=False)
class RecordingEngine(FakeTgi):
    """A TGI that notes, for each generation, the runs that had an open hold when it was asked."""

    generations: list[list[str]] = field(default_factory=list)

    async def answer(self, request: Request, connection: Connection) -> None:
        """Look, then answer."""
        if (request.method, request.path) not in QUESTIONS:
            self.generations.append(await asyncio.to_thread(_runs_with_a_hold))
        await super().answer(request, connection)


def _runs_with_a_hold() -> list[str]:
    try:
        return list(Hold.objects.filter(state=Hold.State.OPEN).values_list("run", flat=True))
    finally:
        connection.close()


def check_metered(engine: RecordingEngine, team: Team) -> None:
    """Every generation had one hold, that of its own run; each run has its row and its charge, and nothing is left."""
    until(lambda: not Hold.objects.filter(state=Hold.State.OPEN).exists())
    runs = [run for held in engine.generations for run in held]
    assert [len(held) for held in engine.generations] == [1] * len(engine.generations)
    assert len(set(runs)) == len(runs)
    costs = dict(Run.objects.values_list("id", "cost_nano"))
    charges = Entry.objects.filter(kind=Entry.Kind.CHARGE).values_list("run", "amount_nano")
    assert set(costs) == set(runs)
    assert {run: -amount_nano for run, amount_nano in charges} == costs
    assert all(cost > 0 for cost in costs.values())
    assert audit.check(team.pk) == []
