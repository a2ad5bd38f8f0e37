"""Which conversations this process is answering: one answer at a time for each, from before it is written down
until its end is."""

from uuid import UUID, uuid4

from playground.errors import ConversationBusy

_runs: dict[UUID, str] = {}


def claim(conversation: UUID) -> str:
    """Take a conversation for one answer and return the id of the run that will make it. Raises ConversationBusy."""
    if conversation in _runs:
        raise ConversationBusy
    _runs[conversation] = uuid4().hex
    return _runs[conversation]


def release(conversation: UUID) -> None:
    """Let the conversation be answered again."""
    del _runs[conversation]


def is_held(run: str) -> bool:
    """Whether a run is under way here; one that is not, and did not end, was lost with its process."""
    return run in _runs.values()


def run_of(conversation: UUID) -> str | None:
    """Return the run that answers a conversation at this moment."""
    return _runs.get(conversation)
