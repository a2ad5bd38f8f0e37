"""A run as whoever reads it knows it: one that lives in this process, a kept one told again, one of another process."""

from collections.abc import Sequence
from typing import Protocol

from inference.chunks import Chunk, Usage
from inference.routing.queue import QueuePosition


class Receipt(Protocol):
    """What a surface tells of a run. Before it is settled, only ``created``, ``clamped_to`` and the model are known."""

    @property
    def created(self) -> int:
        """When the run was asked for, in Unix seconds."""

    @property
    def model_id(self) -> str:
        """The model that answers, once it does; empty where that is not known any more."""

    @property
    def usage(self) -> Usage:
        """What is charged."""

    @property
    def clamped_to(self) -> int | None:
        """The limit on the answer where the balance has set it."""

    @property
    def ran_out(self) -> bool:
        """Whether the answer ended because no more of it could be paid for."""


class Subscriber(Protocol):
    """One who reads a run. Called on the run's event loop; nothing is called any more once it has left."""

    def chunks_came(self, first: int, chunks: Sequence[Chunk]) -> None:
        """Take consecutive chunks, of which ``first`` is the number of the first one, counting from 1.

        The first call means that the answer has begun. A subscriber that can take no more for now pauses its
        subscription; what it was handed by then counts as delivered.
        """

    def run_ended(self, error: Exception | None) -> None:
        """Nothing follows; ``error`` is what ended the run. Without a chunk before it, nothing of it was to be read."""

    def run_settled(self, receipt: Receipt) -> None:
        """The charge is settled, and durable; comes after ``run_ended``."""


class Subscription(Protocol):
    """What a subscriber holds of a run."""

    def pause(self) -> None:
        """Take nothing for now."""

    def resume(self) -> None:
        """Take what came meanwhile, and what comes."""

    def leave(self, *, is_slow: bool = False) -> None:
        """Want nothing more; ``is_slow`` for a subscriber that took nothing for too long."""


class Run(Protocol):
    """One request's life in the spine, and its answer."""

    id: str

    @property
    def receipt(self) -> Receipt:
        """What is known of it so far."""

    @property
    def is_at_work(self) -> bool:
        """Whether the engine has sent something, whether anything can be shown of it or not."""

    @property
    def queue_position(self) -> QueuePosition | None:
        """Where it waits for a replica; None when it does not."""

    def subscribe(self, subscriber: Subscriber, after: int = 0, *, whole: bool = False) -> Subscription:
        """Have the subscriber told the run from behind chunk number ``after``, once it resumes its subscription.

        A ``whole`` answer is handed over at its end, all at once, and only if it has not failed.
        """

    def stop(self) -> None:
        """End it; what was delivered is charged."""
