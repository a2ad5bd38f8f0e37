"""Money that moved, for the billing pages to show: held and charged in the test's own transaction."""

from typing import Any
from uuid import uuid4

from accounts.models import Project, Team, User
from credits import ledger
from credits.ledger.book import Attribution
from credits.ledger.commit import commit_within
from credits.ledger.operations import Held, Settle, Take
from inference.models import Run
from tests.inference.started_runs import run

DOLLAR = 1_000_000_000


def grant(team: Team, dollars: int = 100) -> None:
    """Give a team credits."""
    ledger.grant(team.pk, dollars * DOLLAR, reason="start", actor="operator@example.org")


def take(project: Project, amount_nano: int, *, key: str = "", run_id: str | None = None) -> object:
    """Ask for a hold and return it, or its refusal."""
    attribution = Attribution(run_id or uuid4().hex, str(project.pk), key)
    return commit_within(Take(uuid4(), project.team_id, amount_nano, attribution, seconds=60))


def hold(project: Project, amount_nano: int, *, key: str = "", run_id: str | None = None) -> Held:
    """Set an amount aside for a run that goes on."""
    held = take(project, amount_nano, key=key, run_id=run_id)
    assert isinstance(held, Held), held
    return held


def release(held: Held) -> None:
    """Give back what was set aside, without a run's row: as for a process that was killed."""
    commit_within(Settle(held.id, 0, "", None))


def spend(project: Project, user: User, cost_nano: int, *, held_nano: int = 0, key: str = "", **fields: Any) -> Run:
    """Hold, charge and end a run; the cost is held where nothing else is said."""
    ended = run(project, user, cost_nano=cost_nano, key=key, held_nano=held_nano or cost_nano, **fields)
    commit_within(Settle(hold(project, ended.held_nano, key=key, run_id=ended.pk).id, cost_nano, "1", None))
    return ended
