"""The runs of this process, while they live and a little longer: found again by id, and ended when access ends."""

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

from accounts import changes
from accounts.models import TOPIC
from inference.errors import EngineUnavailable
from inference.models import Run

if TYPE_CHECKING:
    from inference.completion import Completion

# How long an ended run that was resumable can still be found, in seconds.
KEEP_ENDED_SECONDS = 60

_runs: dict[str, "Completion"] = {}
_claiming: dict[UUID, "Completion"] = {}


def add(completion: "Completion") -> None:
    """Remember a run from its start."""
    _runs[completion.id] = completion
    if completion.claim:
        _claiming[completion.claim.id] = completion


def discard(completion: "Completion") -> None:
    """Forget an ended run; one that may be resumed, and is kept nowhere else, stays findable for KEEP_ENDED_SECONDS."""
    if completion.claim:
        _runs.pop(completion.id, None)
        if _claiming.get(completion.claim.id) is completion:
            del _claiming[completion.claim.id]
    elif completion.resumable:
        completion.loop.call_later(KEEP_ENDED_SECONDS, _runs.pop, completion.id, None)
    else:
        _runs.pop(completion.id, None)


def find(run_id: str) -> "Completion | None":
    """Return a run of this process; whoever asks checks whose it is."""
    return _runs.get(run_id)


def claiming(claim_id: UUID) -> "Completion | None":
    """Return the run of this process that answers for an Idempotency-Key, until its answer is kept."""
    return _claiming.get(claim_id)


def watch() -> None:
    """End runs whose caller loses access, within a second of the change."""
    changes.subscribe(TOPIC, _access_changed)


async def shut_down() -> None:
    """End every run of the running loop, and return when each is charged; for a process that ends."""
    loop = asyncio.get_running_loop()
    runs = [completion for completion in _runs.values() if completion.loop is loop and not completion.is_ended]
    for completion in runs:
        completion.stop(Run.Ending.SHUTDOWN, EngineUnavailable())
    await asyncio.gather(*(completion.ended() for completion in runs))


def _access_changed() -> None:
    """Have every run's access checked again, on the run's own loop; called in the watcher's thread."""
    for completion in tuple(_runs.values()):
        if not completion.is_ended and not completion.loop.is_closed():
            completion.loop.call_soon_threadsafe(completion.check_access)
