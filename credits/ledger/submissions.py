"""What is given to the writer: an operation, and whom its outcome is told."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from credits.ledger.operations import Operation

# Is given the operation's result, or the exception that says why there is none.
OnDone = Callable[[Any], None]


class Submission:
    """An operation, and whom its outcome is told; nobody, for one that the ledger asks of itself.

    ``asked_at`` is when a settlement was asked for (monotonic), where a journal watches it.
    """

    __slots__ = ("asked_at", "loop", "on_done", "operation")

    asked_at: float

    def __init__(
        self, operation: Operation[Any], loop: asyncio.AbstractEventLoop | None = None, on_done: OnDone | None = None
    ) -> None:
        self.operation = operation
        self.loop = loop
        self.on_done = on_done


Outcomes = Iterable[tuple[Submission, object]]
