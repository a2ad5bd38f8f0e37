"""What is known of a run while it lives, and the row that is written with its charge."""

from datetime import datetime
from operator import attrgetter
from typing import Final

from django.utils import timezone

from accounts.caller import Caller
from credits.ledger import Write
from inference.chunks import NOTHING
from inference.models import Run
from inference.runs import pace

# The model says which columns there are; a receipt has an attribute for each.
_FIELDS: Final = Run._meta.concrete_fields
_INSERT: Final = (
    f"INSERT INTO {Run._meta.db_table} ({', '.join(str(field.column) for field in _FIELDS)}) "
    f"VALUES ({', '.join(['%s'] * len(_FIELDS))})"
)
_row: Final = attrgetter(*(field.attname for field in _FIELDS))


class Receipt:
    """The facts of one run, named as in ``Run``; times in UTC, amounts in nano-credits. Complete once settled."""

    __slots__ = (
        "caller",
        "clamped_to",
        "cost_nano",
        "counting",
        "ended_at",
        "ending",
        "endpoint_id",
        "error",
        "first_token_at",
        "generated_tokens",
        "held_nano",
        "id",
        "limited_by",
        "model_id",
        "price_id",
        "started_at",
        "streamed",
        "usage",
    )

    def __init__(self, run_id: str, caller: Caller, model_id: str, *, streamed: bool) -> None:
        self.id = run_id
        self.caller = caller
        self.model_id = model_id
        self.streamed = streamed
        self.price_id = 0
        self.endpoint_id: int | None = None
        self.started_at = timezone.now()
        self.first_token_at: datetime | None = None
        self.ended_at: datetime | None = None
        # Values of ``Run.Ending`` and ``Run.Counting``.
        self.ending: str = Run.Ending.ENGINE_ERROR.value
        self.error = ""
        self.usage = NOTHING
        self.generated_tokens = 0
        self.counting: str = Run.Counting.ENGINE.value
        self.held_nano = 0
        self.cost_nano = 0
        # The limit on the answer where the balance has set it.
        self.clamped_to: int | None = None
        # Which credits did not cover the rest of the answer.
        self.limited_by = ""

    @property
    def project_id(self) -> int:
        """The project that pays."""
        return self.caller.project_id

    @property
    def user_id(self) -> int:
        """Who calls."""
        return self.caller.user_id

    @property
    def key(self) -> str:
        """The id of the key that was called with; empty for the browser."""
        return self.caller.key_id

    @property
    def prompt_tokens(self) -> int:
        """The tokens of the prompt."""
        return self.usage.prompt_tokens

    @property
    def cached_tokens(self) -> int:
        """Those of the prompt that were read from a cache."""
        return self.usage.cached_tokens

    @property
    def delivered_tokens(self) -> int:
        """The tokens that were delivered, which are those that are charged."""
        return self.usage.completion_tokens

    @property
    def created(self) -> int:
        """When the run was asked for, in Unix seconds."""
        return int(self.started_at.timestamp())

    @property
    def ran_out(self) -> bool:
        """Whether the answer ended because no more of it could be paid for."""
        return self.ending == Run.Ending.OUT_OF_CREDITS

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
        return Write(_INSERT, _row(self), then)
