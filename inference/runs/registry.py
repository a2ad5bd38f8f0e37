"""The runs of this process while they live: found by the Idempotency-Key that they answer, ended when access ends."""

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

from accounts.models import TOPIC
from core import changes
from inference.errors import EngineUnavailable
from inference.models import Run

if TYPE_CHECKING:
    from inference.runs.spine import Completion

_runs: set["Completion"] = set()
_claiming: dict[UUID, "Completion"] = {}


def add(completion: "Completion") -> None:
    """Remember a run from its start."""
    _runs.add(completion)
    if completion.claim:
        _claiming[completion.claim.id] = completion


def discard(completion: "Completion") -> None:
    """Forget an ended run."""
    _runs.discard(completion)
    if completion.claim and _claiming.get(completion.claim.id) is completion:
        del _claiming[completion.claim.id]


def claiming(claim_id: UUID) -> "Completion | None":
    """Return the run of this process that answers for an Idempotency-Key, until its answer is kept."""
    return _claiming.get(claim_id)


def watch() -> None:
    """End runs whose caller loses access, within a second of the change."""
    changes.subscribe(TOPIC, _access_changed)


def under_way() -> list["Completion"]:
    """Return the runs of the running loop that are not charged yet."""
    loop = asyncio.get_running_loop()
    return [completion for completion in _runs if completion.loop is loop]


async def shut_down() -> None:
    """End every run of the running loop, and return when each is charged; for a process that ends."""
    runs = under_way()
    for completion in runs:
        completion.stop(Run.Ending.SHUTDOWN, EngineUnavailable())
    await asyncio.gather(*(completion.ended() for completion in runs))


def _access_changed() -> None:
    """Have every run's access checked again, on the run's own loop; called in the watcher's thread."""
    for completion in tuple(_runs):
        if not completion.loop.is_closed():
            completion.loop.call_soon_threadsafe(completion.check_access)
