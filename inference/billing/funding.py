"""Sizes the hold behind a run: it covers what may be delivered, without refusing a request that can be paid."""

from collections.abc import Sequence
from typing import NamedTuple

from accounts.caller import Caller
from credits import ledger
from inference.billing import prompt
from inference.billing.counting import TokenCounter, count_prompt
from inference.billing.funds import Funds, GrowingFunds, Quote
from inference.billing.pricing import Rates
from inference.catalog.snapshots import ModelSnapshot
from inference.chat import Chat
from inference.engines.base import Engine
from inference.errors import EngineError, EngineRefused
from inference.limits import Limits


class Need(NamedTuple):
    """What a run needs to hold before it may begin.

    There are three ways. A limit of at most HOLD_WHOLE_TOKENS is held whole. Without one, the hold covers a first slice
    and grows while tokens flow. But an engine that may call tools can generate for long without a word: its hold covers
    all of the answer, which is made as short as the balance wants it; so does the hold of who asked for that.

    The prompt is first bounded by its size in bytes, which costs nothing; when that does not fit, an engine counts it
    exactly. A request that the balance covers, but for other requests' open holds, waits for these to end.
    """

    run_id: str
    caller: Caller
    chat: Chat
    model: ModelSnapshot
    limits: Limits
    quote: Quote
    # All of the answer at most; what the first hold is for, and the least that it may be for, in tokens.
    completion_tokens: int
    wanted: int
    least: int
    grows: bool
    is_limited: bool
    # The most that another model needs, which is asked where this one fails.
    others_nano: int = 0

    @classmethod
    def of(
        cls,
        run_id: str,
        caller: Caller,
        chat: Chat,
        *,
        model: ModelSnapshot,
        rates: Rates,
        limits: Limits,
        fits: bool,
    ) -> "Need":
        """Say what a run needs; ``fits`` for one whose answer is to be made as short as the balance wants it."""
        limit = chat.completion_limit
        completion_tokens = min(limit or model.context_tokens, model.context_tokens)
        # A limit that leaves no room for a prompt limits nothing.
        is_limited = limit is not None and limit < model.context_tokens
        is_short = is_limited and completion_tokens <= limits.hold_whole_tokens
        fits = fits or (bool(chat.tools) and not is_short)
        grows = not (is_short or fits)
        wanted = min(limits.slice_tokens, completion_tokens) if grows else completion_tokens
        least = min(limits.minimum_answer_tokens, wanted) if grows or fits else wanted
        quote = Quote(rates, prompt.bound(chat, model.overhead))
        return cls(run_id, caller, chat, model, limits, quote, completion_tokens, wanted, least, grows, is_limited)

    @property
    def wanted_nano(self) -> int:
        """What is held if there is as much, in nano-credits."""
        return max(self.quote.nano(self.wanted), self.others_nano)

    def is_met_by(self, hold: ledger.Held) -> bool:
        """Whether a hold is enough to begin with."""
        return hold.amount_nano >= self.quote.nano(self.least)

    def counted(self, prompt_tokens: int) -> "Need":
        """Return the need of a prompt that was counted."""
        need = self._replace(quote=self.quote.exactly(prompt_tokens))
        if self.is_limited:
            return need
        # An answer has what the prompt leaves of the context; a limit beyond that, the engine refuses.
        wanted = min(self.wanted, max(1, self.model.context_tokens - prompt_tokens))
        return need._replace(wanted=wanted, least=min(self.least, wanted))

    def funds(self, hold: ledger.Held, counter: TokenCounter) -> Funds:
        """Return what a hold pays for."""
        limit = self.chat.completion_limit
        if self.grows:
            return GrowingFunds(
                hold, self.completion_tokens, limit, quote=self.quote, counter=counter, limits=self.limits
            )
        if hold.amount_nano >= self.quote.nano(self.wanted):
            return Funds(hold, self.wanted, limit, limits=self.limits)
        affordable = self.quote.rates.completion_tokens_for(hold.amount_nano, self.quote.prompt_tokens)
        clamped_to = max(self.least, affordable)
        return Funds(hold, clamped_to, clamped_to, clamped_to, limits=self.limits)


def hold_all(need: Need) -> ledger.Take:
    """Return the operation that holds all that is wanted, or is refused."""
    return ledger.prepare_hold(
        need.caller.team_id,
        need.wanted_nano,
        need.wanted_nano,
        run=need.run_id,
        project=str(need.caller.project_id),
        key=need.caller.key_id,
        seconds=need.limits.run_seconds + need.limits.hold_grace_seconds,
    )


async def hold_what_there_is(need: Need, engines: Sequence[Engine]) -> tuple[Need, ledger.Held]:
    """Hold what can be held for the prompt as an engine counts it, waiting for other holds. Raises InsufficientCredits.

    ``engines`` are asked one after the other, until one can count.
    """
    prompt_tokens = await _counted(need.chat, engines)
    if prompt_tokens:
        need = need.counted(prompt_tokens)
    hold = await ledger.take_up_to(
        need.caller.team_id,
        need.quote.nano(need.least),
        need.wanted_nano,
        run=need.run_id,
        project=str(need.caller.project_id),
        key=need.caller.key_id,
        seconds=need.limits.run_seconds + need.limits.hold_grace_seconds,
        wait_seconds=need.limits.hold_wait_seconds,
    )
    return need, hold


async def _counted(chat: Chat, engines: Sequence[Engine]) -> int | None:
    """Return the tokens of the prompt as an engine counts them; None if none can."""
    for engine in engines:
        try:
            prompt_tokens = await count_prompt(engine, chat)
        except EngineRefused:
            # So would the others.
            break
        except EngineError:
            continue
        if prompt_tokens:
            return prompt_tokens
    return None
