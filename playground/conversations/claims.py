"""Which conversations this process is answering: one at a time for each, from before its turn is stored to its end."""

from uuid import UUID

from core.ids import new_run_id
from playground import remote_runs
from playground.errors import ConversationBusy

_runs: dict[UUID, str] = {}


def claim(conversation: UUID) -> str:
    """Take a conversation for one answer and return the id of the run that will make it. Raises ConversationBusy."""
    if conversation in _runs:
        raise ConversationBusy
    _runs[conversation] = new_run_id()
    return _runs[conversation]


def release(conversation: UUID) -> None:
    """Let the conversation be answered again."""
    del _runs[conversation]


def is_held_here(run: str) -> bool:
    """Whether a run is under way in this process."""
    return run in _runs.values()


def is_held(run: str) -> bool:
    """Whether a run is under way; one that is not, and did not end, was lost with its process.

    Blocks where another process of this site must be asked.
    """
    return is_held_here(run) or remote_runs.has(run)


def run_of(conversation: UUID) -> str | None:
    """Return the run that answers a conversation at this moment."""
    return _runs.get(conversation)
