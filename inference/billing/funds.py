"""What pays for a run: a hold, what it covers, and how it grows while tokens flow."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from credits import ledger
from credits.errors import InsufficientCredits, LedgerError
from inference.billing.counting import Sense, TokenCounter, text_of, told
from inference.billing.pricing import Rates
from inference.chunks import Chunk
from inference.errors import EngineError
from inference.limits import Limits

logger = logging.getLogger(__name__)

# Takes what is paid for, of an answer of so many tokens at most.
Take = Callable[[list[Chunk], int], None]


class Quote(msgspec.Struct, frozen=True):
    """What a run can cost at most: its prompt, counted or bounded, and an answer of a certain length."""

    rates: Rates
    prompt_tokens: int
    is_exact: bool = False

    def nano(self, completion_tokens: int) -> int:
        """Return the most that the run can cost with an answer of so many tokens, in nano-credits."""
        return self.rates.bound_nano(self.prompt_tokens, completion_tokens)

    def exactly(self, prompt_tokens: int | None) -> "Quote":
        """Return the quote for a prompt that was counted, if it could be: no prompt is empty."""
        return self if not prompt_tokens else Quote(self.rates, prompt_tokens, is_exact=True)


class Funds:
    """A hold that covers every answer that the engine may give.

    ``engine_limit`` is what the engine is told, ``completion_tokens`` the most pieces of output that are taken from it.
    ``clamped_to`` is the limit where the balance, not the caller, has set it.
    """

    def __init__(
        self,
        hold: ledger.Held,
        completion_tokens: int,
        engine_limit: int | None,
        clamped_to: int | None = None,
        *,
        limits: Limits,
    ) -> None:
        self.hold = hold
        self.completion_tokens = completion_tokens
        self.engine_limit = engine_limit
        self.clamped_to = clamped_to
        self._limits = limits

    @property
    def is_changing(self) -> bool:
        """Whether the hold is being extended."""
        return False

    def covers(self, chunks: list[Chunk]) -> bool:
        """Whether these are paid for, behind all that came before; if so, they are taken note of."""
        return True

    async def pay(self, chunks: list[Chunk], take: Take) -> None:
        """Have the chunks taken as they are paid for. Raises InsufficientCredits at the first that cannot be."""
        take(chunks, self.completion_tokens)

    async def rest(self) -> None:
        """Wait until the hold does not change any more."""

    def prolong(self) -> None:
        """Have the hold live on for HOLD_GRACE_SECONDS; for subscribers that are slower than its run."""
        prolonged = ledger.prepare_extension(self.hold.id, 0, seconds=self._limits.hold_grace_seconds)
        ledger.submit(prolonged, asyncio.get_running_loop(), self._prolonged)

    def _prolonged(self, outcome: Any) -> None:
        if isinstance(outcome, Exception):
            # It lives until it expires; then the charge takes what is there.
            logger.error("the hold of a run that is still read could not be prolonged", exc_info=outcome)
        else:
            self.hold = outcome

    def charge_nano(self, cost_nano: int) -> int:
        """Return what is charged: never more than was set aside, whatever the engine says in the end."""
        return min(cost_nano, self.hold.amount_nano)


class GrowingFunds(Funds):
    """A hold that covers a first slice, and grows ahead of need while tokens flow.

    What was generated is known by the engine's running counts; without them it is bounded by its bytes, and counted
    exactly by the engine's tokenizer only where more cannot be set aside.
    """

    def __init__(
        self,
        hold: ledger.Held,
        completion_tokens: int,
        engine_limit: int | None,
        *,
        quote: Quote,
        counter: TokenCounter,
        limits: Limits,
    ) -> None:
        super().__init__(hold, completion_tokens, engine_limit, limits=limits)
        self._sense = Sense(counter.context_tokens, completion_tokens)
        self._quote = quote
        self._counter = counter
        self._slice_nano = quote.nano(limits.slice_tokens) - quote.nano(0)
        self._tokens = 0
        # How many pieces of output are paid for.
        self._outputs = 0
        self._paid: list[Chunk] = []
        self._growth: asyncio.Task[None] | None = None
        # Why it did not grow when it was last tried; after that, only need is a reason to try again.
        self._refusal: LedgerError | None = None

    @property
    def is_changing(self) -> bool:
        """Whether the hold is being extended."""
        return self._growth is not None

    def covers(self, chunks: list[Chunk]) -> bool:
        """Whether these are paid for; begins to grow when less than half a slice is left."""
        quote, tokens, outputs = self._quote, self._tokens, self._outputs
        for chunk in chunks:
            quote, tokens = self._with(chunk, quote, tokens, outputs)
            outputs += chunk.has_output
        return self._accept(chunks, quote, tokens)

    async def pay(self, chunks: list[Chunk], take: Take) -> None:
        """Have the chunks taken as they are paid for, waiting for the hold to grow. Raises InsufficientCredits."""
        paid: list[Chunk] = []
        for chunk in chunks:
            if not self._accept([chunk], *self._next(chunk)):
                if paid:
                    take(paid, self.completion_tokens)
                    paid = []
                await self._afford(chunk)
            paid.append(chunk)
        take(paid, self.completion_tokens)

    async def rest(self) -> None:
        """Wait for the growth that is under way; whoever is cancelled here does not end it."""
        if self._growth:
            await asyncio.wait([self._growth])
            self._growth.result()
            self._growth = None

    def _next(self, chunk: Chunk) -> tuple[Quote, int]:
        """Return what the run has to cover with the next chunk."""
        return self._with(chunk, self._quote, self._tokens, self._outputs)

    def _with(self, chunk: Chunk, quote: Quote, tokens: int, outputs: int) -> tuple[Quote, int]:
        """Return what the run has to cover with one more chunk: as the engine says, or as its bytes bound it."""
        usage = told(chunk, self._sense, outputs)
        if usage:
            exact = quote if quote.is_exact and quote.prompt_tokens == usage.prompt_tokens else None
            return exact or quote.exactly(usage.prompt_tokens), usage.completion_tokens
        text = text_of(chunk)
        # Without text it is a token all the same: a part of a character, or one that is not shown.
        return quote, tokens + max(1, len(text) if text.isascii() else len(text.encode()))

    def _accept(self, chunks: list[Chunk], quote: Quote, tokens: int) -> bool:
        """Take note of chunks if the hold covers them; what only closes the answer is never refused."""
        left_nano = self.hold.amount_nano - self._needed_nano(quote, tokens)
        if left_nano < 0 and not all(_is_closing(chunk) for chunk in chunks):
            return False
        self._quote, self._tokens = quote, tokens
        self._paid += chunks
        self._outputs += sum([chunk.has_output for chunk in chunks])
        more_comes = chunks[-1].has_output and not chunks[-1].finish_reason
        may_grow = self._refusal is None and (self._growth is None or self._growth.done())
        if 2 * left_nano < self._slice_nano and more_comes and may_grow:
            self._begin_to_grow(self._needed_nano(quote, tokens + self._limits.minimum_answer_tokens))
        return True

    async def _afford(self, chunk: Chunk) -> None:
        """Have a chunk covered: by growing; where that is refused, by counting exactly. Raises InsufficientCredits."""
        quote, tokens = self._next(chunk)
        await self.rest()
        if self._accept([chunk], quote, tokens):
            return
        await self._grow(self._needed_nano(quote, tokens))
        if self._accept([chunk], quote, tokens):
            return
        quote, tokens = await self._counted(chunk, quote, tokens)
        give_up_at = asyncio.get_running_loop().time() + self._limits.slice_wait_seconds
        while not self._accept([chunk], quote, tokens):
            await self._grow(self._needed_nano(quote, tokens))
            if self._refusal:
                await self._wait_for_others(self._refusal, give_up_at)

    async def _wait_for_others(self, refusal: LedgerError, give_up_at: float) -> None:
        """Wait for other requests' holds to end, if that can help and there is time left; else raise the refusal."""
        left_seconds = give_up_at - asyncio.get_running_loop().time()
        if not (isinstance(refusal, InsufficientCredits) and refusal.is_blocked and left_seconds > 0):
            raise refusal
        await ledger.freed(self.hold.account_id, min(left_seconds, ledger.LOOK_AGAIN_SECONDS))

    async def _counted(self, chunk: Chunk, quote: Quote, tokens: int) -> tuple[Quote, int]:
        """Return what the run has to cover with this chunk, as the engine's tokenizer counts it, if it can."""
        if told(chunk, self._sense, self._outputs):
            return quote, tokens
        chunks = [*self._paid, chunk]
        # A token without text is part of the next one with text, or else hidden.
        silent = next((count for count, each in enumerate(reversed(chunks)) if each.has_output), len(chunks))
        try:
            spoken = await self._counter.count_text("".join(map(text_of, chunks)))
            prompted = None if quote.is_exact else await self._counter.count_prompt()
        except EngineError:
            return quote, tokens
        if spoken is not None:
            tokens = min(tokens, max(1, spoken) + silent)
        return quote.exactly(prompted), tokens

    def _needed_nano(self, quote: Quote, tokens: int) -> int:
        """Return what an answer of so many tokens, or as many as there can be, has to be covered with."""
        return quote.nano(min(tokens, self.completion_tokens))

    async def _grow(self, needed_nano: int) -> None:
        await self.rest()
        self._begin_to_grow(needed_nano)
        await self.rest()

    def _begin_to_grow(self, needed_nano: int) -> None:
        """Set aside another slice, as far as the answer can need it, or what there is between that and the need."""
        held_nano = self.hold.amount_nano
        least_nano = needed_nano - held_nano
        left_nano = self._quote.nano(self.completion_tokens) - held_nano
        most_nano = max(least_nano, min(self._slice_nano, left_nano))
        if most_nano > 0:
            self._growth = asyncio.get_running_loop().create_task(self._extend(max(1, least_nano), most_nano))

    async def _extend(self, least_nano: int, most_nano: int) -> None:
        seconds = self._limits.run_seconds + self._limits.hold_grace_seconds
        try:
            self.hold = await ledger.extend(self.hold.id, most_nano, seconds=seconds, minimum_nano=least_nano)
            self._refusal = None
        except LedgerError as error:
            self._refusal = error


def _is_closing(chunk: Chunk) -> bool:
    return not chunk.has_output and bool(chunk.finish_reason or chunk.usage)
