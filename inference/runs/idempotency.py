"""One answer for one ``Idempotency-Key``: who repeats a request follows its run, or hears the answer that was kept."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from channels.db import database_sync_to_async
from django.conf import settings
from django.db import Error as DatabaseError

from accounts.caller import Caller
from core.errors import Repeated
from credits.errors import LedgerUnavailable
from inference.concurrency import admission
from inference.concurrency.limits import limits_of
from inference.concurrency.turnover import turnover_of
from inference.errors import ConcurrencyLimited, EngineTimeout, IdempotencyKeyReused
from inference.models import IdempotencyKey
from inference.runs import idempotency_keys, registry
from inference.runs.buffer import Answer, Reader
from inference.runs.idempotency_keys import Claim, Kept
from inference.runs.spine import Completion

# Another process's run ends without a word; whoever waits for it looks again this often, in seconds.
LOOK_AGAIN_SECONDS: Final = 0.5

Begin = Callable[[Claim], Completion]
Found = Completion | IdempotencyKey


class Replay:
    """A kept answer; it is read as a run is, and takes a place of its caller's meanwhile."""

    def __init__(self, run_id: str, kept: Kept, caller: Caller) -> None:
        self.id = run_id
        self._caller = caller
        self.answer = Answer()
        self.answer.append(kept.chunks)
        self.answer.finish(Repeated(kept.problem) if kept.problem else None)
        self.receipt = kept

    async def begun(self) -> None:
        """Return at once: an answer without a beginning is not kept."""

    async def ended(self) -> Kept:
        """Return what is known of the run."""
        return self.receipt

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[Reader]:
        """Read the answer. Raises ConcurrencyLimited."""
        async with admission.place(self._caller):
            yield Reader(self.answer, 0)


async def once(claim: Claim, begin: Begin) -> Completion | Replay:
    """Return the one run that answers for the claim's key, or its kept answer; where there is neither, begin it.

    While another process has the run, waits for its end. Raises IdempotencyKeyReused, ConcurrencyLimited where too many
    follow the run already, LedgerUnavailable, or EngineTimeout.
    """
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + settings.RUN_SECONDS + settings.IDEMPOTENCY_LEASE_SECONDS
    while loop.time() < give_up_at:
        here = registry.claiming(claim.id)
        if here and here.loop is loop:
            if not idempotency_keys.is_void(here.receipt, here.answer):
                return await _followed(here, claim)
            # Those who followed it have heard why. This is a fresh try, once the key is given up.
            await here.ended()
            continue
        found = await _shared_look(claim, begin)
        if isinstance(found, Completion):
            return await _followed(found, claim)
        _check_same(found.request, claim)
        if found.answer is not None:
            return Replay(found.run, idempotency_keys.kept_in(found), claim.caller)
        # On the half seconds, so that all who wait for one key share a look.
        await asyncio.sleep(LOOK_AGAIN_SECONDS - loop.time() % LOOK_AGAIN_SECONDS)
    raise EngineTimeout


def _check_same(request: str, claim: Claim) -> None:
    if request != claim.request:
        raise IdempotencyKeyReused


async def _followed(run: Completion, claim: Claim) -> Completion:
    assert run.claim
    _check_same(run.claim.request, claim)
    # A run counts once for its project, so its followers need a bound of their own.
    limit = min(await limits_of(claim.caller))
    if len(run.answer.readers) >= limit:
        # They all leave when it ends.
        raise ConcurrencyLimited.at(limit, turnover_of(("user", claim.caller.user_id)).retry_after_seconds(1))
    return run


_looking: dict[tuple[asyncio.AbstractEventLoop, UUID], asyncio.Task[Found]] = {}


async def _shared_look(claim: Claim, begin: Begin) -> Found:
    """Ask the database, unless someone is asking for the same key; a caller that is cancelled does not end that."""
    key = (asyncio.get_running_loop(), claim.id)
    looking = _looking.get(key)
    if looking is None:
        looking = _looking[key] = key[0].create_task(_look(claim, begin))
        looking.add_done_callback(lambda done: _looked(key, done))
    try:
        return await asyncio.shield(looking)
    except DatabaseError as error:
        raise LedgerUnavailable("the Idempotency-Key could not be looked up") from error


async def _look(claim: Claim, begin: Begin) -> Found:
    held: IdempotencyKey = await database_sync_to_async(claim.take)()
    if held.run != claim.run:
        return held
    claim.renew()
    return begin(claim)


def _looked(key: tuple[asyncio.AbstractEventLoop, UUID], done: asyncio.Task[Found]) -> None:
    del _looking[key]
    if not done.cancelled():
        # Everyone who waited may have gone; then nobody else asks for the error.
        done.exception()
