"""One answer for one ``Idempotency-Key``: who repeats a request follows its run, or hears the answer that was kept."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final
from uuid import UUID

from channels.db import database_sync_to_async
from django.conf import settings
from django.db import Error as DatabaseError

from accounts.caller import Caller
from core.eager import run_eagerly
from core.errors import Repeated
from credits.errors import LedgerUnavailable
from inference.concurrency.admission import Admitted
from inference.errors import EngineTimeout, IdempotencyKeyReused
from inference.models import IdempotencyKey
from inference.runs import idempotency_keys
from inference.runs.buffer import Buffer, Subscription
from inference.runs.idempotency_keys import Claim, Kept
from inference.runs.registry import LocalRun
from inference.runs.run import Subscriber
from inference.runs.spine import LiveRun
from inference.runtime import Runtime

logger = logging.getLogger(__name__)

# Another process's run ends without a word; whoever waits for it looks again this often, in seconds.
LOOK_AGAIN_SECONDS: Final = 0.5

Begin = Callable[[Claim], LiveRun]
Found = LiveRun | IdempotencyKey


class ReplayedRun:
    """A kept answer; it is read as a live run is, and counts against its caller's limits meanwhile."""

    queue_position = None
    is_at_work = True

    def __init__(self, runtime: Runtime, run_id: str, kept: Kept, caller: Caller) -> None:
        self.id = run_id
        self.receipt = kept
        self._runtime = runtime
        self._caller = caller

    def subscribe(self, subscriber: Subscriber, after: int = 0, *, whole: bool = False) -> "Replay":
        """Tell the subscriber the answer, once it resumes its subscription and its caller may have another request."""
        return Replay(self._runtime, self._caller, self.receipt, subscriber, after, whole=whole)

    def stop(self) -> None:
        """There is nothing to be stopped."""


class Replay:
    """One subscriber's reading of a kept answer."""

    def __init__(
        self, runtime: Runtime, caller: Caller, kept: Kept, subscriber: Subscriber, after: int, *, whole: bool
    ) -> None:
        self._subscriber = subscriber
        self._admitted: Admitted | None = None
        self._is_paused = self._is_left = False
        buffer = Buffer()
        buffer.append(kept.chunks)
        buffer.is_begun = True
        buffer.finish(Repeated(kept.problem) if kept.problem else None)
        buffer.receipt = kept
        self._subscription = Subscription(buffer, subscriber, after, whole=whole, on_leave=self._left)
        self._runtime = runtime
        self._caller = caller
        self._is_asked = False
        self._admitting: asyncio.Task[None] | None = None

    def pause(self) -> None:
        """Take nothing for now."""
        self._is_paused = True
        self._subscription.pause()

    def resume(self) -> None:
        """Take what there is; the first time, once the caller may have another request."""
        self._is_paused = False
        if self._admitted:
            self._subscription.resume()
        elif not self._is_asked:
            self._is_asked = True
            self._admitting = run_eagerly(self._runtime.admission.take(self._caller), self._admit, self._refuse)

    def leave(self, *, is_slow: bool = False) -> None:
        """Want nothing more."""
        self._is_left = True
        if self._admitting:
            self._admitting.cancel()
        self._subscription.leave(is_slow=is_slow)

    def _admit(self, admitted: Admitted) -> None:
        self._admitted = admitted
        if self._is_left:
            admitted.give_back()
        elif not self._is_paused:
            self._subscription.resume()

    def _refuse(self, error: BaseException) -> None:
        if not self._is_left:
            self._subscriber.run_ended(error if isinstance(error, Exception) else LedgerUnavailable(str(error)))

    def _left(self, subscription: Subscription, is_slow: bool) -> None:
        if self._admitted:
            self._admitted.give_back()


async def once(runtime: Runtime, claim: Claim, begin: Begin) -> LocalRun | ReplayedRun:
    """Return the one run that answers for the claim's key, or its kept answer; where there is neither, begin it.

    While another process has the run, waits for its end. Raises IdempotencyKeyReused, ConcurrencyLimited where too many
    follow the run already, LedgerUnavailable, or EngineTimeout.
    """
    loop = runtime.loop
    give_up_at = loop.time() + settings.RUN_SECONDS + settings.IDEMPOTENCY_LEASE_SECONDS
    while loop.time() < give_up_at:
        if here := runtime.runs.claiming(claim.id):
            if not idempotency_keys.is_void(here.receipt, here.buffer):
                return await _followed(runtime, here, claim)
            # Those who followed it have heard why. This is a fresh try, once the key is given up.
            await here.ended()
            continue
        found = await _shared_look(runtime, claim, begin)
        if isinstance(found, LiveRun):
            return await _followed(runtime, found, claim)
        _check_same(found.request, claim)
        if found.answer is not None:
            return ReplayedRun(runtime, found.run, idempotency_keys.kept_in(found), claim.caller)
        # On the half seconds, so that all who wait for one key share a look.
        await asyncio.sleep(LOOK_AGAIN_SECONDS - loop.time() % LOOK_AGAIN_SECONDS)
    raise EngineTimeout


def _check_same(request: str, claim: Claim) -> None:
    if request != claim.request:
        raise IdempotencyKeyReused


async def _followed(runtime: Runtime, run: LocalRun, claim: Claim) -> LocalRun:
    assert run.claim
    _check_same(run.claim.request, claim)
    # A run counts once for its project, so its followers need a bound of their own.
    limit = min(await runtime.admission.limits.of(claim.caller))
    if len(run.buffer.subscriptions) >= limit:
        # They all leave when it ends.
        raise runtime.admission.refusal(("user", claim.caller.user_id), limit, running=1)
    return run


async def _shared_look(runtime: Runtime, claim: Claim, begin: Begin) -> Found:
    """Ask the database, unless someone is asking for the same key; a caller that is cancelled does not end that."""
    looks = runtime.runs.looking_up
    look: asyncio.Task[Found] | None = looks.get(claim.id)
    if look is None:
        look = looks[claim.id] = runtime.loop.create_task(_look(claim, begin))
        look.add_done_callback(lambda done: _looked(looks, claim.id, done))
    try:
        return await asyncio.shield(look)
    except DatabaseError as error:
        raise LedgerUnavailable("the Idempotency-Key could not be looked up") from error


async def _look(claim: Claim, begin: Begin) -> Found:
    held: IdempotencyKey = await database_sync_to_async(claim.take)()
    if held.run != claim.run:
        return held
    claim.renew()
    return begin(claim)


def _looked(looks: dict[UUID, asyncio.Task[Found]], key: UUID, done: asyncio.Task[Found]) -> None:
    del looks[key]
    if not done.cancelled():
        # Everyone who waited may have gone; then nobody else asks for the error.
        done.exception()
