"""The spine: the one way to a model's answer. A run is admitted, funded, answered and settled once, whatever happens.

``start`` begins a run and returns it at once. The run belongs to the spine; subscribers come and go. It is a machine of
callbacks: each is called by what the run waits for, does all that need not wait, and leaves it in one of these states::

    ADMITTING   a slot of its project and user, its model, what its engine says to it       Redis, database, engine
        │
    FUNDING     the hold                                          the ledger; an engine's count, other runs' holds
        │
    QUEUED      a slot at a replica                               other runs; at most QUEUE_SECONDS
        │  ▲
        │  └──  the replica failed, and another may be asked; or the model, and its name stands for another one too
    ASKING      the answer's first output                         the engine; at most FIRST_TOKEN_SECONDS
        │
    STREAMING   more of the answer                                the engine; at most BETWEEN_TOKENS_SECONDS
        │  ▲
    PAYING      the hold to grow                                  the ledger; an engine's count, other runs' holds
        │
    DRAINING    subscribers to take the rest                      clients; each at most READER_SECONDS
        │
    SETTLING    the count, and the charge to be durable           an engine's count; the ledger
        │
    ENDED

On the left is what the run waits for, on the right who makes it wait. From every state above DRAINING an end leads
there at once: the answer is whole, the engine failed, the hold cannot grow, RUN_SECONDS are over, or the run is stopped
(by its caller, its last subscriber's leaving, lost access, the server's end). ``_end`` is the one function for all of
them, and gives back what the state had taken: a task, a hold that is still to be committed, a place in the queue, a
replica's slot. What never had a hold has nothing to settle.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any, Final

from django.db import InterfaceError, OperationalError
from django.utils import timezone

from accounts.caller import Caller
from accounts.errors import IdentityError
from core.eager import run_as_task, run_eagerly
from core.ids import new_run_id
from credits import ledger
from credits.errors import InsufficientCredits, LedgerError, LedgerUnavailable
from inference import metrics
from inference.billing import funding, settlement
from inference.billing.counting import Counted, TokenCounter, is_over, text_of
from inference.billing.funding import Need
from inference.billing.funds import Funds
from inference.billing.settlement import Settlement
from inference.chat import Chat
from inference.chunks import Chunk
from inference.errors import (
    EngineError,
    EngineFailed,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
    InferenceDisabled,
    InferenceError,
    ReaderLagged,
)
from inference.metrics import Meter
from inference.models import Run
from inference.routing.attempt import Attempt
from inference.routing.queue import QueuePosition
from inference.routing.replicas import Replica
from inference.routing.route import Route
from inference.routing.targets import models_for
from inference.runs import access
from inference.runs.buffer import BATCH_CHUNKS, Buffer, Subscription
from inference.runs.cache_salt import cache_salt
from inference.runs.candidates import Candidate, candidates_among
from inference.runs.idempotency_keys import Claim
from inference.runs.receipt import Receipt
from inference.runs.run import Subscriber
from inference.runtime import Runtime

logger = logging.getLogger(__name__)

# The first subscriber of a resumable run is about to come, however short the grace for those who come back is.
FIRST_SUBSCRIBER_SECONDS: Final = 1.0
# What an engine sends before its first output is kept back until then, but no more of it than this many chunks.
MAX_KEPT_BACK: Final = 16
ABANDONED: Final = "Nobody read the answer, so it was ended. Ask again with another Idempotency-Key"
TOO_MUCH: Final = "The engine generated more than was asked for"


class State(IntEnum):
    """What a run waits for; the picture above."""

    ADMITTING = 0
    FUNDING = 1
    QUEUED = 2
    ASKING = 3
    STREAMING = 4
    PAYING = 5
    DRAINING = 6
    SETTLING = 7
    ENDED = 8


def start(
    runtime: Runtime,
    caller: Caller,
    chat: Chat,
    *,
    run_id: str | None = None,
    resumable: bool = False,
    claim: Claim | None = None,
    fit_to_balance: bool = False,
) -> "LiveRun":
    """Begin a run. Refusals and failures are told to its subscribers, never raised here.

    ``run_id`` is 32 hexadecimal digits, a new one if left out.
    A resumable run outlives its last subscriber by RECONNECT_GRACE_SECONDS, and counts as delivered what it keeps for
    replay; any other run ends with its last subscriber. A run with a claim is resumable, and leaves its answer to those
    who ask later; a whole answer is delivered to them only once it is whole. A run that is fitted to the balance is
    allowed the longest answer that the balance covers.
    """
    run = LiveRun(
        runtime,
        caller,
        chat,
        run_id or new_run_id(),
        resumable=resumable or claim is not None,
        claim=claim,
        fits_balance=fit_to_balance,
    )
    runtime.runs.add(run)
    run.begin()
    return run


class LiveRun:
    """One run of a model for one caller, from the first check to the settled charge."""

    def __init__(
        self,
        runtime: Runtime,
        caller: Caller,
        chat: Chat,
        run_id: str,
        *,
        resumable: bool,
        claim: Claim | None,
        fits_balance: bool,
    ) -> None:
        self.id = run_id
        self.loop = runtime.loop
        self.caller = caller
        self.chat = chat
        self.state = State.ADMITTING
        self.buffer = Buffer(self._drained)
        self.receipt = Receipt(run_id, caller, chat.model, streamed=bool(chat.stream))
        self.meter = Meter()
        self.resumable = resumable
        self.claim = claim
        self._runtime = runtime
        self._limits = runtime.limits
        self._fits_balance = fits_balance
        # A whole answer with a claim counts as delivered once it is whole: one that breaks off can be asked for again.
        self._delivers_pieces = resumable and (claim is None or bool(chat.stream))
        self._when_ended: list[Callable[[], None]] = []
        self._is_stopping = False
        # By the loop's clock.
        self._ends_at = self._queued_until = self._alone_until = self._prolong_at = math.inf
        # What the present state has taken, and ``_end`` gives back.
        self._task: asyncio.Task[None] | None = None
        self._slot: Any = None
        self._taking: ledger.Take | None = None
        self._route: Route | None = None
        self._replica: Replica | None = None
        self._attempt: Attempt | None = None
        # The models that are asked where the present one fails.
        self._others: list[Candidate] = []
        # Once the run is funded.
        self._funds: Funds | None = None
        self._kept_back: list[Chunk] = []
        self._unpaid: list[Chunk] = []
        # What came behind chunks that are still to be paid.
        self._after_paying: Callable[[], None] | None = None
        # Tokens that the replica's throughput has not been told of.
        # Of all that was generated, in UTF-8.
        self._text_bytes = 0
        self._new_tokens = 0

    # --- What others may ask --------------------------------------------------------------------------------------

    @property
    def is_ended(self) -> bool:
        """Whether the charge is settled."""
        return self.state is State.ENDED

    @property
    def is_at_work(self) -> bool:
        """Whether the engine has sent something, whether anything can be shown of it or not.

        While another model may answer instead, only what can be shown counts: who hears of it is told the model.
        """
        return bool(self.buffer.chunks or (self._kept_back and not self._others))

    @property
    def queue_position(self) -> QueuePosition | None:
        """Where it waits for a replica; None when it does not."""
        return self._route.queue_position if self._route else None

    def subscribe(self, subscriber: Subscriber, after: int = 0, *, whole: bool = False) -> Subscription:
        """Have a subscriber told the run from behind chunk number ``after``, once it resumes its subscription.

        Leaving is how a connection lets go of the run.
        """
        self._alone_until = math.inf
        return Subscription(self.buffer, subscriber, after, whole=whole, on_leave=self._left)

    def stop(self, ending: Run.Ending = Run.Ending.STOPPED, failure: Exception | None = None) -> None:
        """End the generation now and close the upstream connection; a run that is already ending is left alone.

        ``failure`` is what those who still subscribe will hear.
        """
        if self.state < State.DRAINING and not self._is_stopping:
            self._is_stopping = True
            # Not within this turn: it may be the run itself that asks, in the middle of a chunk.
            self.loop.call_soon(self._stop, ending, failure)

    def check_access(self) -> None:
        """End the run if its caller may not call any more; called after every change of identities."""
        run_eagerly(access.lost_by(self.caller), self._access_checked, self._fail)

    def when_ended(self, callback: Callable[[], None]) -> None:
        """Call back once the charge is settled, which may be now."""
        if self.is_ended:
            callback()
        else:
            self._when_ended.append(callback)

    async def ended(self) -> Receipt:
        """Return the complete receipt once the charge is settled."""
        settled = asyncio.Event()
        self.when_ended(settled.set)
        await settled.wait()
        return self.receipt

    def check_deadline(self, now: float) -> None:
        """Act on what is late; called twice a second."""
        if self._replica and self._new_tokens:
            self._replica.throughput.add(self._new_tokens)
            self._new_tokens = 0
        if now >= self._alone_until:
            self._alone_until = math.inf
            # Who comes back too late, and asks for what was kept, hears why it is not the whole answer.
            self.stop(Run.Ending.DISCONNECTED, ReaderLagged(ABANDONED) if self.claim else None)
        if now >= self._prolong_at and self._funds:
            self._prolong_at = now + self._limits.hold_grace_seconds / 2
            self._funds.prolong()
        if self.state >= State.DRAINING:
            return
        if now >= self._ends_at:
            self.receipt.ending = Run.Ending.TIMEOUT.value
            self._end(EngineTimeout())
        elif now >= self._queued_until and self._route:
            self._fail(self._route.abandon())
        elif self._attempt:
            self._attempt.check_deadline(now)

    # --- ADMITTING ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take the first step."""
        self._runtime.deadlines.watch(self)
        if self.resumable:
            self._leave_alone(max(FIRST_SUBSCRIBER_SECONDS, self._limits.reconnect_grace_seconds))
        self._task = run_eagerly(self._admit(), self._admitted, self._fail)

    async def _admit(self) -> Need:
        """Check all that may keep the run from beginning, and return what it needs."""
        caller, chat, runtime = self.caller, self.chat, self._runtime
        self._slot = await runtime.admission.take(caller)
        if not caller.team_enabled:
            raise InferenceDisabled
        models = await models_for(runtime, chat.model)
        self.meter.found(models[0].id)
        first, *self._others = candidates_among(
            models,
            runtime,
            caller,
            chat,
            run_id=self.id,
            fits=self._fits_balance,
            on_slot=self._slot_came,
            on_refusal=self._fall_back,
        )
        self._turn_to(first)
        await first.route.nearest.meet(chat)
        others = [need.quote.nano(need.wanted) for need, _ in self._others]
        return first.need._replace(others_nano=max(others, default=0))

    def _turn_to(self, candidate: Candidate) -> None:
        """Have a model answer, unless it fails before its first output."""
        need, self._route = candidate
        self._model, self._rates = need.model, need.quote.rates
        self._counter = TokenCounter(self.chat, self._route.nearest, need.model.context_tokens)
        self.receipt.model_id = need.model.id
        self.meter.found(need.model.id)

    # --- FUNDING --------------------------------------------------------------------------------------------------

    def _admitted(self, need: Need) -> None:
        self.state, self._task, self._need = State.FUNDING, None, need
        if any(self.chat.images()):
            # How many tokens an image is, nobody can tell from its size.
            self._hold_what_there_is()
            return
        self._taking = funding.hold_all(need)
        ledger.submit(self._taking, self.loop, self._hold_came)

    def _hold_came(self, outcome: Any) -> None:
        if self.state is not State.FUNDING:
            # It was given back when the run ended.
            return
        self._taking = None
        if isinstance(outcome, InsufficientCredits):
            self._hold_what_there_is()
        elif isinstance(outcome, Exception):
            self._fail(outcome)
        else:
            try:
                self._funded(self._need, outcome)
            except Exception as error:  # noqa: BLE001 - it ends the run, and the run tells of it
                self._fail(error)

    def _hold_what_there_is(self) -> None:
        assert self._route
        trying = funding.hold_what_there_is(self._need, self._route.engines())
        self._task = run_as_task(trying, lambda found: self._funded(*found), self._fail)

    def _funded(self, need: Need, hold: ledger.Held) -> None:
        self._task = None
        self._funds = need.funds(hold, self._counter)
        self.receipt.clamped_to = self._funds.clamped_to
        self._ends_at = self.loop.time() + self._limits.run_seconds
        self._ask()

    # --- QUEUED, ASKING -------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """Ask a replica, or wait for one."""
        assert self._route
        self.state = State.QUEUED
        self._queued_until = self.loop.time() + self._limits.queue_seconds
        self.meter.queued()
        try:
            # The wait for credits, or for one that failed in the end, was long enough for the endpoints to change.
            replica = self._route.enter(self._runtime.catalog.newest(self._model))
        except EngineError as error:
            self._fall_back(error)
            return
        if replica:
            self._slot_came(replica)

    def _slot_came(self, replica: Replica) -> None:
        assert self._route
        assert self._funds
        self.state, self._replica, self._queued_until = State.ASKING, replica, math.inf
        self.meter.admitted()
        self.receipt.endpoint_id = replica.endpoint.id
        self._counter.engine = engine = replica.engine
        self._kept_back = []
        try:
            if engine is not self._route.nearest:
                # One that came since may speak another dialect, and refuse what the others can do.
                engine.check(self.chat)
            self._attempt = Attempt(
                self,
                engine,
                engine.salted(self.chat, cache_salt(self.caller.team_id)),
                self._funds.engine_limit,
                http=self._runtime.http,
                limits=self._limits,
            )
            self._attempt.begin()
        except Exception as error:  # noqa: BLE001 - it ends the run, and the run tells of it
            self._fail(error)

    def attempt_failed(self, error: EngineError) -> None:
        """Ask another replica, or another model, as long as nobody has heard this one; called by the attempt."""
        if self.state is State.PAYING:
            self._after_paying = lambda: self.attempt_failed(error)
            return
        assert self._route
        assert self._replica
        replica, has_begun = self._replica, self.state is not State.ASKING
        replica.record_failure(error, has_begun=has_begun)
        metrics.upstream_failed(replica.endpoint.id, error)
        self._leave_replica()
        # After the first output nobody else is asked: the caller has it.
        if has_begun:
            self._fail(error)
        elif self._route.may_ask_another(replica, error):
            self._ask()
        else:
            self._fall_back(error)

    def _fall_back(self, error: EngineError) -> None:
        """Ask the next model that the name stands for and the hold is enough for; where none is left, end the run."""
        if self.state >= State.DRAINING:
            return
        assert self._funds
        assert self._route
        while self._others and not isinstance(error, EngineRefused):
            candidate = self._others.pop(0)
            if candidate.need.is_met_by(self._funds.hold):
                self.meter.left()
                candidate.route.go_on_from(self._route)
                self._turn_to(candidate)
                self._funds = candidate.need.funds(self._funds.hold, self._counter)
                self.receipt.clamped_to = self._funds.clamped_to
                self._ask()
                return
        self._fail(error)

    def _leave_replica(self) -> None:
        """Close the connection to it, and give its slot to the next who waits."""
        replica, self._replica = self._replica, None
        if self._attempt:
            self._attempt.leave()
            self._attempt = None
        if replica and self._route:
            replica.throughput.add(self._new_tokens)
            self._new_tokens = 0
            self._route.leave(replica)
            self.meter.left()

    # --- STREAMING, PAYING ----------------------------------------------------------------------------------------

    def chunks_came(self, chunks: list[Chunk]) -> None:
        """Take what one read from the engine brought, as far as it is paid for; called by the attempt."""
        assert self._funds
        if self.state is State.ASKING:
            self._kept_back += chunks
            if len(self._kept_back) <= MAX_KEPT_BACK and not any(
                chunk.has_output or chunk.finish_reason for chunk in chunks
            ):
                return
            chunks = self._kept_back
            self.state = State.STREAMING
            assert self._replica
            self._replica.circuit.record_first_token()
        if self.state is State.PAYING:
            self._unpaid += chunks
        elif not self._funds.covers(chunks):
            self._pay(chunks)
        else:
            try:
                self._take(chunks, self._funds.completion_tokens)
            except EngineFailed as error:
                self.attempt_failed(error)

    def answer_ended(self) -> None:
        """End the run well; called by the attempt."""
        if self.state is State.PAYING:
            self._after_paying = self.answer_ended
        elif self.state is State.ASKING:
            self.attempt_failed(EngineFailed())
        else:
            assert self._replica
            self._replica.circuit.record_success()
            self._end(None)

    def broke_down(self, error: Exception) -> None:
        """End the run; called by the attempt."""
        self._fail(error)

    def _take(self, chunks: list[Chunk], completion_tokens: int) -> None:
        """Keep chunks, and hand them on. Every limit on the answer stands here. Raises EngineFailed."""
        receipt, buffer = self.receipt, self.buffer
        generated, taken = receipt.generated_tokens, chunks
        for place, chunk in enumerate(chunks):
            if chunk.content or chunk.has_output:
                if generated >= completion_tokens and is_over(generated, self._text_bytes, completion_tokens):
                    taken = chunks[:place]
                    break
                generated += 1
                self._text_bytes += len(text_of(chunk).encode())
            if chunk.finish_reason:
                receipt.ending = chunk.finish_reason
        self._new_tokens += generated - receipt.generated_tokens
        receipt.generated_tokens = generated
        if generated and receipt.first_token_at is None:
            receipt.first_token_at = timezone.now()
        buffer.append(taken)
        self.meter.took()
        if self._delivers_pieces:
            buffer.deliver(len(buffer.chunks))
        if not buffer.is_begun:
            # Subscribers of a model that is silent for long begin too, or they would lag behind from the beginning on.
            is_long = len(buffer.chunks) >= BATCH_CHUNKS
            buffer.is_begun = bool(generated) or is_long or receipt.ending != Run.Ending.ENGINE_ERROR
        buffer.push()
        if buffer.size_bytes > self._limits.answer_bytes or len(taken) < len(chunks):
            raise EngineFailed(TOO_MUCH)
        if not self.resumable:
            for subscription in buffer.subscriptions:
                if subscription.is_paused and subscription.lag_bytes > self._limits.reader_bytes:
                    self.stop(Run.Ending.SLOW_READER, ReaderLagged())

    def _pay(self, chunks: list[Chunk]) -> None:
        """Read no more until these are paid for and taken."""
        assert self._attempt
        self.state, self._unpaid = State.PAYING, chunks
        self._attempt.pause()
        self._task = run_as_task(self._pay_all(), self._paid, self._could_not_pay)

    async def _pay_all(self) -> None:
        assert self._funds
        while chunks := self._unpaid:
            self._unpaid = []
            await self._funds.pay(chunks, self._take)

    def _paid(self, _: None) -> None:
        self.state, self._task = State.STREAMING, None
        if after := self._after_paying:
            after()
        elif self._attempt:
            self._attempt.resume()

    def _could_not_pay(self, error: BaseException) -> None:
        if isinstance(error, EngineFailed):
            self.state, self._after_paying = State.STREAMING, None
            self.attempt_failed(error)
        else:
            self._fail(error)

    # --- Ways to an end -------------------------------------------------------------------------------------------

    def _left(self, subscription: Subscription, is_slow: bool) -> None:
        """End the run with its last subscriber, or give those who may come back their time."""
        if self.buffer.subscriptions or self.state >= State.DRAINING:
            return
        if self.resumable:
            self._leave_alone(self._runtime.limits.reconnect_grace_seconds)
        else:
            self.stop(Run.Ending.SLOW_READER if is_slow else Run.Ending.DISCONNECTED)

    def _leave_alone(self, seconds: float) -> None:
        self._alone_until = self.loop.time() + seconds
        self._runtime.deadlines.watch(self, within=seconds)

    def _access_checked(self, refusal: Exception | None) -> None:
        if refusal:
            self.stop(Run.Ending.REVOKED, refusal)

    def _stop(self, ending: Run.Ending, failure: Exception | None) -> None:
        if self.state < State.DRAINING:
            self.receipt.ending = ending.value
            self._end(failure)

    def _fail(self, error: BaseException) -> None:
        """End the run with what went wrong."""
        if self.state >= State.DRAINING:
            return
        if isinstance(error, asyncio.CancelledError):
            # Nobody stopped it: the loop is being closed under it.
            self.receipt.ending = Run.Ending.SHUTDOWN.value
            self._end(EngineUnavailable())
        elif isinstance(error, InsufficientCredits):
            self._run_out(error)
        elif isinstance(error, (InferenceError, LedgerError, IdentityError)):
            self._end(error)
        elif isinstance(error, (OperationalError, InterfaceError)):
            logger.error("run %s: the database does not answer: %s", self.id, error)
            self._end(LedgerUnavailable("the database does not answer"))
        else:
            self._break_down(error)

    def _break_down(self, error: BaseException) -> None:
        logger.error("run %s broke down", self.id, exc_info=error)
        if self.state < State.DRAINING:
            self._end(EngineFailed())

    def _run_out(self, refusal: InsufficientCredits) -> None:
        """End an answer of which no more can be paid; one that is sent whole is sent as far as it came."""
        self.receipt.ending, self.receipt.limited_by = Run.Ending.OUT_OF_CREDITS.value, refusal.limited_by
        if self.chat.stream or self.receipt.first_token_at is None:
            self._end(refusal)
        else:
            self.buffer.append([Chunk(finish_reason=Run.Ending.LENGTH.value)])
            self._end(None)

    def _end(self, failure: Exception | None) -> None:
        """Give back what the state had taken; subscribers get what is left of the answer, then the failure, if any."""
        if self._task:
            self._task.cancel()
            self._task = None
        if self._taking:
            ledger.submit(ledger.prepare_settlement(self._taking.new_id, 0, price=""), self.loop, None)
            self._taking = None
        if self._replica:
            self._leave_replica()
        elif self._route:
            self._route.abandon()
        if self._slot:
            self._slot.give_back()
        self.state, self._route = State.DRAINING, None
        receipt, buffer = self.receipt, self.buffer
        receipt.ended_at = timezone.now()
        receipt.error = type(failure).__name__ if failure else ""
        if failure and receipt.ending in Run.ENGINE_ENDINGS:
            receipt.ending = Run.Ending.ENGINE_ERROR.value
        if self.claim and not failure:
            buffer.deliver(len(buffer.chunks))
        # The hold outlives the slowest subscriber, or its credits would be spent by another run meanwhile.
        self._prolong_at = self.loop.time() + self._limits.hold_grace_seconds / 2
        buffer.finish(failure)
        if not self._funds:
            self._close_claim()

    # --- SETTLING, ENDED ------------------------------------------------------------------------------------------

    def _drained(self) -> None:
        if not self._funds:
            return
        self.state, self._prolong_at = State.SETTLING, math.inf
        counting = settlement.count(
            self.buffer.chunks, self.buffer.delivered, self._counter, self._funds, self._model.overhead.image
        )
        self._task = run_eagerly(counting, self._counted, self._could_not_count)

    def _counted(self, counted: Counted) -> None:
        assert self._funds
        receipt = self.receipt
        receipt.usage, receipt.counting = counted[0], counted[1].value
        receipt.generated_tokens = max(receipt.generated_tokens, receipt.usage.completion_tokens)
        receipt.price_id, receipt.held_nano = self._rates.price_id, self._funds.hold.amount_nano
        receipt.cost_nano = self._funds.charge_nano(self._rates.cost_nano(receipt.usage))
        Settlement(
            self.id, self._funds.hold.id, receipt.price_id, receipt.cost_nano, self._rows(), self._settled
        ).submit()

    def _could_not_count(self, error: BaseException) -> None:
        """Leave the hold to expire: the loss is ours."""
        logger.error("run %s could not be settled", self.id, exc_info=error)
        self._close_claim()

    def _rows(self) -> Iterator[ledger.Write]:
        """Yield the run's row; then, for the endpoint may have been removed while it answered, the row without it."""
        answer = self.claim.write(self.receipt, self.buffer) if self.claim else None
        yield self.receipt.write(answer)
        self.receipt.endpoint_id = None
        yield self.receipt.write(answer)

    def _settled(self, row: ledger.Write | None) -> None:
        if self.claim:
            self.claim.is_kept = bool(row and row.then)
        self._close_claim()

    def _close_claim(self) -> None:
        """Give the Idempotency-Key up, if its answer is not kept."""
        if self.claim:
            run_eagerly(self.claim.end(), lambda _: self._close(), lambda _: self._close())
        else:
            self._close()

    def _close(self) -> None:
        self.state = State.ENDED
        self._runtime.runs.discard(self)
        self._runtime.deadlines.forget(self)
        self.meter.ended(self.receipt, self.buffer.error)
        self.buffer.settle(self.receipt)
        callbacks, self._when_ended = self._when_ended, []
        for callback in callbacks:
            callback()
