"""What is known of a run while it lives, and the row that is written with its charge."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

from django.utils import timezone

from accounts.caller import Caller
from credits.ledger import Write
from inference.chunks import NOTHING, Usage
from inference.models import Run
from inference.runs import pace


@dataclass(slots=True)
class Receipt:
    """The facts of one run; times in UTC, amounts in nano-credits. Complete once the run is settled."""

    id: str
    caller: Caller
    model: str
    streamed: bool
    price_id: int = 0
    endpoint_id: int | None = None
    started_at: datetime = field(default_factory=timezone.now)
    first_token_at: datetime | None = None
    ended_at: datetime | None = None
    ending: Run.Ending = Run.Ending.ENGINE_ERROR
    error: str = ""
    usage: Usage = NOTHING
    generated_tokens: int = 0
    counting: Run.Counting = Run.Counting.ENGINE
    held_nano: int = 0
    cost_nano: int = 0
    # The limit on the answer where the balance has set it.
    clamped_to: int | None = None
    # Which credits did not cover the rest of the answer.
    limited_by: str = ""

    @property
    def created(self) -> int:
        """When the run was asked for, in Unix seconds."""
        return int(self.started_at.timestamp())

    @property
    def ran_out(self) -> bool:
        """Whether the answer ended because no more of it could be paid for."""
        return self.ending is Run.Ending.OUT_OF_CREDITS

    @property
    def first_token_seconds(self) -> float | None:
        """How long the caller waited for the first token, queue included."""
        return pace.first_token_seconds(self.started_at, self.first_token_at)

    @property
    def tokens_per_second(self) -> float | None:
        """How quickly tokens came once they came."""
        return pace.tokens_per_second(self.first_token_at, self.ended_at, self.usage.completion_tokens)

    def write(self, then: Write | None = None) -> Write:
        """Return the row for ``Run``, to be written in the transaction that settles or releases the hold.

        ``then`` is another one, written with it.
        """
        values = {
            "id": self.id,
            "project_id": self.caller.project_id,
            "user_id": self.caller.user_id,
            "key": self.caller.key_id,
            "model_id": self.model,
            "price_id": self.price_id,
            "endpoint_id": self.endpoint_id,
            "started_at": self.started_at,
            "first_token_at": self.first_token_at,
            "ended_at": self.ended_at,
            "ending": self.ending.value,
            "error": self.error,
            "prompt_tokens": self.usage.prompt_tokens,
            "cached_tokens": self.usage.cached_tokens,
            "generated_tokens": self.generated_tokens,
            "delivered_tokens": self.usage.completion_tokens,
            "counting": self.counting.value,
            "held_nano": self.held_nano,
            "cost_nano": self.cost_nano,
            "streamed": self.streamed,
            "clamped_to": self.clamped_to,
            "limited_by": self.limited_by,
        }
        return Write(_insert(tuple(values)), tuple(values.values()), then)


@cache
def _insert(columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {Run._meta.db_table} ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})"
