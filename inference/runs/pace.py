"""How quickly a run's tokens came."""

from datetime import datetime


def first_token_seconds(started_at: datetime, first_token_at: datetime | None) -> float | None:
    """Return how long the caller waited for the first token, queue included."""
    return (first_token_at - started_at).total_seconds() if first_token_at else None


def tokens_per_second(first_token_at: datetime | None, ended_at: datetime | None, tokens: int) -> float | None:
    """Return how quickly tokens came once they came; None for fewer than two."""
    if not (first_token_at and ended_at) or tokens < 2:
        return None
    seconds = (ended_at - first_token_at).total_seconds()
    return (tokens - 1) / seconds if seconds > 0 else None
