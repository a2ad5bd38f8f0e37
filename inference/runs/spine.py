"""The spine: the one way to a model. It checks limits, takes the hold, waits for a place, streams, and settles once.

``start`` begins a run and returns it at once. The run belongs to the spine; connections read it as they come and go.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from accounts.caller import Caller
from accounts.errors import IdentityError
from core.ids import new_run_id
from credits.errors import InsufficientCredits, LedgerError, LedgerUnavailable
from inference.billing import funding, settlement
from inference.billing.funds import Funds
from inference.billing.pricing import Rates
from inference.billing.settlement import Bill
from inference.catalog import snapshots
from inference.catalog.snapshots import ModelSnapshot
from inference.chat import Chat
from inference.chunks import Chunk
from inference.concurrency import admission
from inference.errors import (
    EngineFailed,
    EngineTimeout,
    EngineUnavailable,
    InferenceDisabled,
    InferenceError,
    ReaderLagged,
)
from inference.metrics import Meter
from inference.models import Run
from inference.routing.queue import PlaceInLine
from inference.routing.route import Route
from inference.runs import access, registry
from inference.runs.buffer import BATCH_CHUNKS, Answer, Reader
from inference.runs.idempotency_keys import Claim
from inference.runs.receipt import Receipt

logger = logging.getLogger(__name__)

# The first reader of a resumable run is about to come, however short the grace for those who come back is.
FIRST_READER_SECONDS: Final = 1.0
ABANDONED: Final = "Nobody read the answer, so it was ended. Ask again with another Idempotency-Key"


class ReaderTooSlow(Exception):
    """A reader took nothing for READER_SECONDS; raised inside ``subscribe`` by whoever writes to the socket."""


def start(
    caller: Caller,
    chat: Chat,
    *,
    run_id: str | None = None,
    resumable: bool = False,
    claim: Claim | None = None,
    fit_to_balance: bool = False,
) -> "Completion":
    """Begin a run. Refusals and failures are raised by ``begun`` and by reading, never here.

    ``run_id`` is 32 hexadecimal digits, a new one if left out.
    A resumable run outlives its last reader by RECONNECT_GRACE_SECONDS, and counts as delivered what it keeps for
    replay; any other run ends with its last reader. A run with a claim is resumable, and leaves its answer to those
    who ask later; a whole answer is delivered to them only once it is whole. A run that is fitted to the balance is
    allowed the longest answer that the balance covers.
    """
    completion = Completion(
        caller,
        chat,
        run_id or new_run_id(),
        resumable=resumable or claim is not None,
        claim=claim,
        fit_to_balance=fit_to_balance,
    )
    registry.add(completion)
    return completion


class Completion:
    """One run of a model for one caller, from the first check to the settled charge."""

    def __init__(
        self, caller: Caller, chat: Chat, run_id: str, *, resumable: bool, claim: Claim | None, fit_to_balance: bool
    ) -> None:
        self.id = run_id
        self.loop = asyncio.get_running_loop()
        self.caller = caller
        self.chat = chat
        self.answer = Answer()
        self.receipt = Receipt(self.id, caller, chat.model, streamed=bool(chat.stream))
        self.meter = Meter()
        self._fit_to_balance = fit_to_balance
        # Its place in line and who answers it; None until the model is known.
        self.route: Route | None = None
        self.resumable = resumable
        self.claim = claim
        # A whole answer with a claim counts as delivered once it is whole: one that breaks off can be asked for again.
        self._delivers_pieces = resumable and (claim is None or bool(chat.stream))
        self._stop_ending: Run.Ending | None = None
        self._stop_failure: Exception | None = None
        self._stoppable = True
        self._begun = asyncio.Event()
        self._ended = asyncio.Event()
        self._grace: asyncio.TimerHandle | None = None
        self._task = self.loop.create_task(self._run())
        if resumable:
            self._start_grace(max(FIRST_READER_SECONDS, settings.RECONNECT_GRACE_SECONDS))

    async def begun(self) -> None:
        """Return when the first piece of the answer, or a long silence, is there. Raises what kept it from coming."""
        await self._begun.wait()
        if self.answer.error and self.receipt.first_token_at is None:
            raise self.answer.error

    async def ended(self) -> Receipt:
        """Return the complete receipt once the charge is settled."""
        await self._ended.wait()
        return self.receipt

    @property
    def place_in_line(self) -> PlaceInLine | None:
        """Where it waits for a replica; None when it does not."""
        return self.route.ticket.place if self.route else None

    @property
    def is_ended(self) -> bool:
        """Whether the charge is settled."""
        return self._ended.is_set()

    @asynccontextmanager
    async def subscribe(self, after: int = 0) -> AsyncIterator[Reader]:
        """Read the answer from behind chunk number ``after``; leaving is how a connection lets go of the run."""
        reader = Reader(self.answer, after)
        self.answer.readers.add(reader)
        if self._grace:
            self._grace.cancel()
        ending = Run.Ending.DISCONNECTED
        try:
            yield reader
        except ReaderTooSlow:
            ending = Run.Ending.SLOW_READER
            raise
        finally:
            self.answer.leave(reader)
            if not self.answer.readers:
                if self.resumable:
                    self._start_grace(settings.RECONNECT_GRACE_SECONDS)
                else:
                    self.stop(ending)

    def stop(self, ending: Run.Ending = Run.Ending.STOPPED, failure: Exception | None = None) -> None:
        """End the generation now and close the upstream connection; a run that is already ending is left alone.

        ``failure`` is what those who still read will hear.
        """
        if self._stoppable and self._stop_ending is None:
            self._stop_ending, self._stop_failure = ending, failure
            # Not within this turn: the run may not have taken its first step, or be the very one that asks.
            self.loop.call_soon(self._cancel)

    def _cancel(self) -> None:
        if self._stoppable:
            self._task.cancel()

    def check_access(self) -> None:
        """End the run if its caller may not call any more; called after every change of identities."""
        self._checking = self.loop.create_task(self._check_access())

    async def _check_access(self) -> None:
        if reason := await access.lost_by(self.caller):
            self.stop(Run.Ending.REVOKED, reason)

    def _start_grace(self, seconds: float) -> None:
        # Who comes back too late, and asks for what was kept, hears why it is not the whole answer.
        failure = ReaderLagged(ABANDONED) if self.claim else None
        self._grace = self.loop.call_later(seconds, self.stop, Run.Ending.DISCONNECTED, failure)

    async def _run(self) -> None:
        """Live through the run: check, fund, generate; then let the readers finish, and settle."""
        failure: Exception | None = None
        bill: Bill | None = None
        try:
            async with admission.place(self.caller):
                model, rates = await self._prepare()
                self.route = route = Route(model, self.chat, self.receipt, self.meter)
                route.engine.check(self.chat)
                await route.engine.meet(self.chat)
                funds = await funding.take(self.receipt, route, rates, fits_balance=self._fit_to_balance)
                bill = Bill(self.receipt, self.answer, route, funds, rates)
                self.receipt.clamped_to = funds.clamped_to
                async with asyncio.timeout(settings.RUN_SECONDS):
                    await self._generate(route, funds)
        except asyncio.CancelledError:
            # Nobody stopped it: the loop is being closed under it.
            self.receipt.ending = self._stop_ending or Run.Ending.SHUTDOWN
            failure = self._stop_failure if self._stop_ending else EngineUnavailable()
        except TimeoutError:
            self.receipt.ending, failure = Run.Ending.TIMEOUT, EngineTimeout()
        except InsufficientCredits as refusal:
            failure = self._run_out(refusal)
        except (InferenceError, LedgerError, IdentityError) as error:
            failure = error
        except (OperationalError, InterfaceError) as error:
            logger.error("run %s: the database does not answer: %s", self.id, error)
            failure = LedgerUnavailable("the database does not answer")
        except Exception:
            logger.exception("run %s broke down", self.id)
            failure = EngineFailed()
        self._stoppable = False
        self._finish(failure)
        try:
            await settlement.close(bill, self.claim)
        finally:
            self._ended.set()
            registry.discard(self)
            self.meter.ended(self.receipt, failure)

    async def _prepare(self) -> tuple[ModelSnapshot, Rates]:
        """Find the model and its price. Raises for a team that is switched off, and a model that cannot be had so."""
        if not self.caller.team_enabled:
            raise InferenceDisabled
        model = await snapshots.find(self.chat.model)
        self.meter.found(model.id)
        rates = model.rates()
        model.check(self.chat)
        if not model.endpoints:
            raise EngineUnavailable
        return model, rates

    async def _generate(self, route: Route, funds: Funds) -> None:
        """Take what a replica gives and the funds pay for."""
        async with route.answer(funds.engine_limit) as (beginning, rest):
            chunks: list[Chunk] | None = beginning
            while chunks is not None:
                generated = self.receipt.generated_tokens
                if funds.covers(chunks):
                    self._take(chunks, funds.completion_tokens)
                else:
                    await funds.pay(chunks, self._take)
                route.replica.throughput.add(self.receipt.generated_tokens - generated)
                chunks = await anext(rest, None)

    def _take(self, chunks: list[Chunk], completion_tokens: int) -> None:
        """Keep what one read from the engine brought, and pass it on. Every limit on the answer stands here."""
        taken: list[Chunk] = []
        for chunk in chunks:
            if chunk.has_output:
                if self.receipt.generated_tokens == completion_tokens:
                    break
                self.receipt.generated_tokens += 1
            taken.append(chunk)
            if chunk.finish_reason:
                self.receipt.ending = Run.Ending(chunk.finish_reason)
        if self.receipt.first_token_at is None and self.receipt.generated_tokens:
            self.receipt.first_token_at = timezone.now()
        self.answer.append(taken)
        self.meter.took()
        if self._delivers_pieces:
            self.answer.deliver(len(self.answer.chunks))
        # Readers of a model that is silent for long begin too, or they would lag behind from their beginning on.
        is_long = len(self.answer.chunks) >= BATCH_CHUNKS
        if self.receipt.generated_tokens or is_long or self.receipt.ending is not Run.Ending.ENGINE_ERROR:
            self._begun.set()
        if self.answer.size_bytes > settings.ANSWER_BYTES or len(taken) < len(chunks):
            raise EngineFailed("The engine generated more than was asked for")
        if not self.resumable and any(reader.lag_bytes > settings.READER_BYTES for reader in self.answer.readers):
            self.stop(Run.Ending.SLOW_READER, ReaderLagged())

    def _run_out(self, refusal: InsufficientCredits) -> InsufficientCredits | None:
        """End an answer of which no more can be paid; one that is sent whole is sent as far as it came."""
        self.receipt.ending, self.receipt.limited_by = Run.Ending.OUT_OF_CREDITS, refusal.limited_by
        if self.chat.stream or self.receipt.first_token_at is None:
            return refusal
        self.answer.append([Chunk(finish_reason=Run.Ending.LENGTH.value)])
        return None

    def _finish(self, failure: Exception | None) -> None:
        """Close the answer: readers get what is left of it, then the failure if there was one."""
        self.receipt.ended_at = timezone.now()
        self.receipt.error = type(failure).__name__ if failure else ""
        if failure and self.receipt.ending in Run.ENGINE_ENDINGS:
            self.receipt.ending = Run.Ending.ENGINE_ERROR
        if self.claim and not failure:
            self.answer.deliver(len(self.answer.chunks))
        self.answer.finish(failure)
        self._begun.set()
