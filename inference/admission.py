"""Who may start now: requests in flight per project."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from inference.errors import ConcurrencyLimited

_in_flight: Counter[int] = Counter()


@contextmanager
def project_place(project_id: int) -> Iterator[None]:
    """Count a request against its project while it lives. Raises ConcurrencyLimited at PROJECT_CONCURRENCY."""
    if _in_flight[project_id] >= settings.PROJECT_CONCURRENCY:
        raise ConcurrencyLimited
    _in_flight[project_id] += 1
    try:
        yield
    finally:
        _in_flight[project_id] -= 1
        if not _in_flight[project_id]:
            del _in_flight[project_id]
