"""The spine: the one way to a model. It checks limits, takes the hold, waits for a place, streams, and settles once.

``start`` begins a run and returns it at once. The run belongs to the spine; connections read it as they come and go.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial
from uuid import uuid4

from django.conf import settings
from django.db import Error as DatabaseError
from django.utils import timezone

from accounts import keys
from accounts.caller import Caller
from accounts.errors import AuthenticationFailed, IdentityError
from credits import ledger
from credits.errors import LedgerError, OperationRefused
from inference import admission, catalogue, counting, funding, live
from inference.answer import Answer, Reader
from inference.catalogue import ModelSnapshot
from inference.chat import Chat
from inference.chunks import Chunk
from inference.engines import engine_for
from inference.engines.base import Engine
from inference.errors import (
    EngineFailed,
    EngineTimeout,
    EngineUnavailable,
    InferenceDisabled,
    InferenceError,
    ReaderLagged,
)
from inference.models import Run
from inference.pricing import Rates
from inference.receipt import Receipt

logger = logging.getLogger(__name__)


class ReaderTooSlow(Exception):
    """A reader took nothing for READER_SECONDS; raised inside ``subscribe`` by whoever writes to the socket."""


def start(caller: Caller, chat: Chat, *, run_id: str | None = None, resumable: bool = False) -> "Completion":
    """Begin a run. Refusals and failures are raised by ``begun`` and by reading, never here.

    ``run_id`` is 32 hexadecimal digits, a new one if left out.
    A resumable run outlives its last reader by RECONNECT_GRACE_SECONDS, and counts as delivered what it keeps for
    replay; any other run ends with its last reader.
    """
    completion = Completion(caller, chat, run_id or uuid4().hex, resumable=resumable)
    live.add(completion)
    return completion


class Completion:
    """One run of a model for one caller, from the first check to the settled charge."""

    def __init__(self, caller: Caller, chat: Chat, run_id: str, *, resumable: bool) -> None:
        self.id = run_id
        self.loop = asyncio.get_running_loop()
        self.caller = caller
        self.chat = chat
        self.answer = Answer()
        self.receipt = Receipt(self.id, caller, chat.model, streamed=bool(chat.stream))
        # Places to go in the queue; None when not in it. ``on_position`` hears of every change.
        self.position: int | None = None
        self.on_position: Callable[[int], None] | None = None
        self.resumable = resumable
        self._engine: Engine
        self._stop_ending: Run.Ending | None = None
        self._stop_failure: Exception | None = None
        self._stoppable = True
        self._begun = asyncio.Event()
        self._ended = asyncio.Event()
        self._grace: asyncio.TimerHandle | None = None
        self._task = self.loop.create_task(self._run())
        if resumable:
            self._start_grace()

    async def begun(self) -> None:
        """Return when the first piece of the answer is there. Raises what kept it from coming."""
        await self._begun.wait()
        if self.answer.error and self.receipt.first_token_at is None:
            raise self.answer.error

    async def ended(self) -> Receipt:
        """Return the complete receipt once the charge is settled."""
        await self._ended.wait()
        return self.receipt

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
                    self._start_grace()
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
        try:
            caller = await keys.acheck(self.caller)
        except IdentityError:
            self.stop(Run.Ending.REVOKED, AuthenticationFailed())
        except DatabaseError:
            # The next change decides, or the run's own end.
            logger.exception("the access of run %s could not be checked", self.id)
        else:
            if not caller.team_enabled:
                self.stop(Run.Ending.REVOKED, InferenceDisabled())

    def _start_grace(self) -> None:
        self._grace = self.loop.call_later(settings.RECONNECT_GRACE_SECONDS, self.stop, Run.Ending.DISCONNECTED)

    async def _run(self) -> None:
        """Live through the run: check, fund, generate; then let the readers finish, and settle."""
        failure: Exception | None = None
        settle: Callable[[], Awaitable[None]] = _nothing_to_settle
        try:
            with admission.project_place(self.caller.project_id):
                model, rates = await self._prepare()
                self._engine = engine_for(model.endpoints[0])
                self._engine.check(self.chat)
                funds = await funding.take(
                    self.id, self.caller, self.chat, model=model, rates=rates, engine=self._engine
                )
                settle = partial(self._settle, funds.hold, rates)
                async with asyncio.timeout(settings.RUN_SECONDS):
                    await self._generate(model, funds.completion_tokens)
        except asyncio.CancelledError:
            # Nobody stopped it: the loop is being closed under it.
            self.receipt.ending = self._stop_ending or Run.Ending.SHUTDOWN
            failure = self._stop_failure if self._stop_ending else EngineUnavailable()
        except TimeoutError:
            self.receipt.ending, failure = Run.Ending.TIMEOUT, EngineTimeout()
        except (InferenceError, LedgerError, IdentityError) as error:
            failure = error
        except Exception:
            logger.exception("run %s broke down", self.id)
            failure = EngineFailed()
        self._stoppable = False
        self._finish(failure)
        try:
            await settle()
        finally:
            self._ended.set()
            live.discard(self)

    async def _prepare(self) -> tuple[ModelSnapshot, Rates]:
        """Find the model and its price. Raises for a team that is switched off, and a model that is not for sale."""
        if not self.caller.team_enabled:
            raise InferenceDisabled
        model = await catalogue.find(self.chat.model)
        rates = model.rates()
        if not model.endpoints:
            raise EngineUnavailable
        return model, rates

    async def _generate(self, model: ModelSnapshot, completion_tokens: int) -> None:
        """Wait for a place at an endpoint, and take what its engine gives."""
        queue = admission.queue_for(model)
        endpoint = await queue.enter(model, self._queued)
        self.position = None
        self.receipt.endpoint_id = endpoint.id
        try:
            engine = engine_for(endpoint)
            if engine is not self._engine:
                # Another server of the same model may speak another dialect, and refuse what the first one can do.
                engine.check(self.chat)
                self._engine = engine
            limit = completion_tokens if self.chat.completion_limit else None
            async with aclosing(engine.stream(self.chat, limit)) as stream:
                async for chunks in stream:
                    self._take(chunks, completion_tokens)
        finally:
            queue.leave(endpoint)

    def _queued(self, position: int) -> None:
        self.position = position
        if self.on_position:
            self.on_position(position)

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
        if self.resumable:
            self.answer.deliver(len(self.answer.chunks))
        if self.receipt.generated_tokens or self.receipt.ending is not Run.Ending.ENGINE_ERROR:
            self._begun.set()
        if self.answer.size_bytes > settings.ANSWER_BYTES or len(taken) < len(chunks):
            raise EngineFailed("The engine generated more than was asked for")
        if not self.resumable and any(reader.lag_bytes > settings.READER_BYTES for reader in self.answer.readers):
            self.stop(Run.Ending.SLOW_READER, ReaderLagged())

    def _finish(self, failure: Exception | None) -> None:
        """Close the answer: readers get what is left of it, then the failure if there was one."""
        self.receipt.ended_at = timezone.now()
        self.receipt.error = type(failure).__name__ if failure else ""
        if failure and self.receipt.ending in Run.ENGINE_ENDINGS:
            self.receipt.ending = Run.Ending.ENGINE_ERROR
        self.answer.finish(failure)
        self._begun.set()

    async def _settle(self, hold: ledger.Held, rates: Rates) -> None:
        """Charge what was delivered, and write the run's row in the same transaction."""
        receipt, engine = self.receipt, self._engine
        try:
            await self.answer.drained()
            counted = await counting.count(self.answer, self.answer.delivered, self.chat, engine)
        except asyncio.CancelledError:
            # The process ends: nobody is waited for, and nobody asked.
            counted = await counting.count(self.answer, self.answer.delivered, self.chat, None)
        receipt.usage, receipt.counting = counted
        receipt.generated_tokens = max(receipt.generated_tokens, receipt.usage.completion_tokens)
        receipt.price_id, receipt.held_nano, receipt.cost_nano = (
            rates.price_id,
            hold.amount_nano,
            rates.cost_nano(receipt.usage),
        )
        try:
            await self._charge(hold)
        except LedgerError:
            # The hold expires by itself; the loss is ours, and the log says which run it was.
            logger.exception("run %s could not be settled", self.id)

    async def _charge(self, hold: ledger.Held) -> None:
        """Settle; a row that the database will not have does not take the charge with it."""
        receipt = self.receipt
        # The endpoint may have been removed while it answered.
        for row in (receipt.write(), replace(receipt, endpoint_id=None).write(), None):
            try:
                await ledger.settle(hold.id, receipt.cost_nano, price=str(receipt.price_id), write=row)
                return
            except OperationRefused:
                logger.exception("the row of run %s was refused", self.id)


async def _nothing_to_settle() -> None:
    """Stand in for the settlement of a run that never held anything."""
