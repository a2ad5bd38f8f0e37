"""The receipts of runs that have ended, and what is known of one that has not: for every surface that shows them.

``runs`` is narrowed by whoever asks to what may be seen. The amounts are the ledger's own, in nano-credits.
"""

from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from accounts import errors as accounts
from core import ids
from core.errors import SERVER_ERROR
from credits import errors as credits
from credits.models import Hold
from credits.reports.balances import open_holds, uncharged_hold
from credits.reports.charges import Charge, charges_of
from inference import errors as inference
from inference.models import Run
from inference.runs import pace


@dataclass(frozen=True, slots=True)
class RunReceipt:
    """What became of one run, and what the ledger took for it; held = charged + released, charged + lost = cost."""

    run: Run
    charge: Charge

    @property
    def request_id(self) -> str:
        """The run's ``x-request-id``."""
        return ids.request_id(self.run.pk)

    @property
    def completion_id(self) -> str:
        """The id inside the run's answer."""
        return f"chatcmpl-{self.run.pk}"

    @property
    def held_nano(self) -> int:
        """What was set aside for the run in the end, however often its hold grew."""
        return self.run.held_nano

    @property
    def charged_nano(self) -> int:
        """What the run took from the balance."""
        return self.charge.charged_nano

    @property
    def lost_nano(self) -> int:
        """The part of the cost that no credits were left for."""
        return self.charge.lost_nano

    @property
    def released_nano(self) -> int:
        """What was set aside and given back."""
        return max(self.held_nano - self.charged_nano, 0)

    @property
    def error_code(self) -> str:
        """What the caller was told went wrong, as ``docs/errors.md`` names it; empty if nothing did."""
        return _code(self.run.error) if self.run.error else ""

    @property
    def first_token_seconds(self) -> float | None:
        """How long the caller waited for the first token, queue included."""
        return pace.first_token_seconds(self.run.started_at, self.run.first_token_at)

    @property
    def tokens_per_second(self) -> float | None:
        """How quickly tokens came once they came."""
        return pace.tokens_per_second(self.run.first_token_at, self.run.ended_at, self.run.delivered_tokens)


def find(runs: "QuerySet[Run]", run_id: str) -> RunReceipt | None:
    """Return the receipt of one of the runs."""
    return next(iter(_receipts(runs.filter(pk=run_id))), None)


def latest(
    runs: "QuerySet[Run]", projects: Collection[int], *, limit: int, after: Run | None = None
) -> list[RunReceipt]:
    """Return receipts of runs in the projects, the newest first: at most ``limit`` that are older than a run."""
    if after is not None:
        older = Q(started_at__lt=after.started_at) | Q(pk__lt=after.pk)
        runs = runs.filter(older, started_at__lte=after.started_at)
    # The index holds each project's runs in order: asked for together, a database would sort them all, or read
    # everybody's from the newest on.
    found = [
        place
        for project in projects
        for place in runs.filter(project=project).order_by("-started_at", "-pk").values_list("started_at", "pk")[:limit]
    ]
    page = [pk for _, pk in sorted(found, reverse=True)[:limit]]
    return _receipts(Run.objects.filter(pk__in=page).order_by("-started_at", "-pk"))


def open_hold(team_id: int, projects: Collection[int], run_id: str) -> Hold | None:
    """Return what is set aside for a run that is still going, in whichever process. A run has one before all else."""
    return open_holds(team_id).filter(run=run_id, project__in=[str(project) for project in projects]).first()


def lost_hold(team_id: int, projects: Collection[int], run_id: str) -> Hold | None:
    """Return what was set aside for a run that left no receipt, because the process that had it was killed."""
    hold = uncharged_hold(team_id, run_id)
    return hold if hold and hold.project in map(str, projects) and not Run.objects.filter(pk=run_id).exists() else None


def _receipts(runs: "QuerySet[Run]") -> list[RunReceipt]:
    """Read the runs with all that a receipt names, and the ledger's entries for them."""
    found = list(runs.select_related("project__team", "price", "endpoint"))
    charges = charges_of([run.pk for run in found])
    return [RunReceipt(run, charges.get(run.pk, Charge())) for run in found]


def _code(error: str) -> str:
    """Return the code under which an error of that name is told."""
    kinds = [getattr(room, error) for room in (inference, credits, accounts) if hasattr(room, error)]
    return (kinds[0].code if kinds else "") or SERVER_ERROR.code
