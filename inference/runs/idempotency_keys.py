"""Who answers an Idempotency-Key: one run at a time, of whatever process, and from its end on the answer that it left.

The claim is a row. A run renews it while it lives, so that of a killed process runs out IDEMPOTENCY_LEASE_SECONDS
later; an answer replaces it in the very transaction that charges for it. The clock is the web process's own: those of
several machines may differ, but by much less than the lease.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, Self
from uuid import UUID

import msgspec
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import models, transaction
from django.utils import timezone

from accounts.caller import Caller
from core.errors import SERVER_ERROR, Failure, failure_of
from credits.ledger import Write
from inference.chunks import Chunk, Usage
from inference.errors import InvalidRequest
from inference.models import IdempotencyKey
from inference.runs.buffer import Buffer
from inference.runs.receipt import Receipt

logger = logging.getLogger(__name__)

MAX_KEY_LENGTH: Final = 255
# Every new claim clears away a few that are over: more than it adds, so that the table does not grow without end.
CLEARED_AT_ONCE: Final = 10

_WRITE: Final = f"UPDATE {IdempotencyKey._meta.db_table} SET answer = %s, expires_at = %s WHERE id = %s AND run = %s"


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer as it is kept: what was delivered, and the problem that ended it, if one did.

    ``created`` is in Unix seconds; the last three are as in the run's receipt.
    """

    created: int
    chunks: list[Chunk]
    usage: Usage
    # By the number of their chunk, from 0: a decoder does not take raw JSON for something that may be missing.
    logprobs: dict[int, msgspec.Raw] = {}
    problem: Failure | None = None
    clamped_to: int | None = None
    ran_out: bool = False
    model_id: str = ""


@dataclass(slots=True)
class Claim:
    """The right of one run to answer for a key. ``request`` is the hash of what was asked for."""

    id: UUID
    caller: Caller
    request: str
    run: str
    is_kept: bool = False
    # How long the answer can be had; None: IDEMPOTENCY_KEEP_SECONDS.
    keep_seconds: float | None = None
    _renewing: asyncio.Task[None] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, caller: Caller, key: str, address: str, body: msgspec.Struct, run: str) -> Self:
        """Name what a caller's key stands for. Raises InvalidRequest for what is no key.

        The same key of another project, person or API key is another one. Two requests are the same if they mean the
        same: the order of fields and the space between them are up to the client's library.
        """
        if not 0 < len(key) <= MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
            raise InvalidRequest(
                f"An Idempotency-Key has 1 to {MAX_KEY_LENGTH} printable ASCII characters.", param="Idempotency-Key"
            )
        who = _hash((caller.project_id, caller.user_id, caller.key_id, key))
        return cls(UUID(bytes=who[:16]), caller, _hash((address, body)).hex(), run)

    def take(self) -> IdempotencyKey:
        """Return what the key stands for: this claim's run, if no other has a claim or an answer that still holds.

        Asks the database, and blocks.
        """
        now = timezone.now()
        row = IdempotencyKey(id=self.id, request=self.request, run=self.run, expires_at=_lease_end(now))
        holding = IdempotencyKey.objects.filter(pk=self.id, expires_at__gt=now)
        while (held := holding.first()) is None:
            _clear(now)
            IdempotencyKey.objects.filter(pk=self.id, expires_at__lte=now).delete()
            # INSERT … ON CONFLICT DO NOTHING: of all who try, in whatever process, one succeeds.
            IdempotencyKey.objects.bulk_create([row], ignore_conflicts=True)
        return held

    def renew(self) -> None:
        """Keep the claim from running out, until ``end``."""
        self._renewing = asyncio.get_running_loop().create_task(self._renew())

    def write(self, receipt: Receipt, buffer: Buffer) -> Write | None:
        """Return the statement that puts a finished run's answer in the claim's place, unless there is none."""
        if is_void(receipt, buffer):
            return None
        error, delivered = buffer.error, buffer.chunks[: buffer.delivered]
        kept = Kept(
            receipt.created,
            [msgspec.structs.replace(chunk, usage=None, logprobs=None) for chunk in delivered],
            receipt.usage,
            {number: chunk.logprobs for number, chunk in enumerate(delivered) if chunk.logprobs is not None},
            (failure_of(error) or SERVER_ERROR) if error else None,
            receipt.clamped_to,
            receipt.ran_out,
            receipt.model_id,
        )
        expires_at = timezone.now() + timedelta(seconds=self.keep_seconds or settings.IDEMPOTENCY_KEEP_SECONDS)
        return Write(_WRITE, (msgspec.json.encode(kept), expires_at, self.id, self.run))

    async def end(self) -> None:
        """Give the key up, unless the answer is kept: to ask again is then a fresh try."""
        if self._renewing:
            self._renewing.cancel()
        if self.is_kept:
            return
        try:
            await database_sync_to_async(self._own().delete)()
        except DatabaseError:
            logger.exception("the claim of run %s could not be given up; it runs out", self.run)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(settings.IDEMPOTENCY_LEASE_SECONDS / 3)
            try:
                if not await database_sync_to_async(self._own().update)(expires_at=_lease_end(timezone.now())):
                    logger.error("the claim of run %s was lost: it had run out", self.run)
                    return
            except DatabaseError:
                logger.exception("the claim of run %s could not be renewed", self.run)

    def _own(self) -> models.QuerySet[IdempotencyKey]:
        return IdempotencyKey.objects.filter(pk=self.id, run=self.run, answer=None)


def is_void(receipt: Receipt, buffer: Buffer) -> bool:
    """Whether a run failed and left nothing that could be replayed."""
    return buffer.error is not None and not (receipt.first_token_at and buffer.delivered)


def kept_in(row: IdempotencyKey) -> Kept:
    """Read the answer that a row holds."""
    assert row.answer is not None
    kept = _decode(row.answer)
    for number, logprobs in kept.logprobs.items():
        kept.chunks[number] = msgspec.structs.replace(kept.chunks[number], logprobs=logprobs)
    return kept


def _hash(value: object) -> bytes:
    return sha256(_encode(value)).digest()


_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(Kept).decode


def _lease_end(now: datetime) -> datetime:
    return now + timedelta(seconds=settings.IDEMPOTENCY_LEASE_SECONDS)


def _clear(now: datetime) -> None:
    due = IdempotencyKey.objects.filter(expires_at__lte=now).order_by("expires_at")
    if due.exists():
        with transaction.atomic():
            # Where two processes clear at once, each takes rows that the other has not locked.
            keys = list(due.select_for_update(skip_locked=True).values_list("pk", flat=True)[:CLEARED_AT_ONCE])
            IdempotencyKey.objects.filter(pk__in=keys).delete()
