"""The hold behind a run: large enough for all that may be delivered, and no reason to refuse what can be paid."""

from django.conf import settings

from credits import ledger
from credits.errors import InsufficientCredits
from inference.billing import prompt
from inference.billing.funds import Funds, GrowingFunds, Quote
from inference.billing.pricing import Rates
from inference.errors import EngineError, EngineRefused
from inference.routing.route import Route
from inference.runs.receipt import Receipt


async def take(receipt: Receipt, route: Route, rates: Rates, *, fits_balance: bool) -> Funds:
    """Hold what the run can cost before the next extension. Raises InsufficientCredits.

    There are three ways. A limit of at most HOLD_WHOLE_TOKENS is held whole. Without one, the hold covers a first slice
    and grows while tokens flow. But an engine that may call tools can generate for long without a word: its hold covers
    all of the answer, which is made as short as the balance wants it; so does the hold of who asked for that.

    The prompt is first bounded by its size in bytes, which costs nothing; when that does not fit, the engine counts it
    exactly. A request that the balance covers, but for other requests' open holds, waits for these to end.
    """
    chat, model = route.chat, route.model
    limit = chat.completion_limit
    completion_tokens = min(limit or model.context_tokens, model.context_tokens)
    # A limit that leaves no room for a prompt limits nothing.
    is_limited = limit is not None and limit < model.context_tokens
    is_short = is_limited and completion_tokens <= settings.HOLD_WHOLE_TOKENS
    fits = fits_balance or (bool(chat.tools) and not is_short)
    grows = not (is_short or fits)
    wanted = min(settings.SLICE_TOKENS, completion_tokens) if grows else completion_tokens
    least = min(settings.MINIMUM_ANSWER_TOKENS, wanted) if grows or fits else wanted

    quote = Quote(rates, prompt.bound(chat, model.overhead))
    try:
        hold = await _hold(receipt, quote.nano(wanted), quote.nano(wanted))
    except InsufficientCredits:
        quote = await _counted(quote, route)
        if quote.is_exact and not is_limited:
            # An answer has what the prompt leaves of the context; a limit beyond that, the engine refuses.
            wanted = min(wanted, max(1, model.context_tokens - quote.prompt_tokens))
            least = min(least, wanted)
        hold = await _hold(receipt, quote.nano(least), quote.nano(wanted), settings.HOLD_WAIT_SECONDS)

    if grows:
        return GrowingFunds(hold, completion_tokens, limit, quote=quote, route=route)
    if hold.amount_nano >= quote.nano(wanted):
        return Funds(hold, wanted, limit)
    clamped_to = max(least, rates.completion_tokens_for(hold.amount_nano, quote.prompt_tokens))
    return Funds(hold, clamped_to, clamped_to, clamped_to)


async def _hold(receipt: Receipt, least_nano: int, most_nano: int, wait_seconds: float = 0) -> ledger.Held:
    return await ledger.take_up_to(
        receipt.caller.team_id,
        least_nano,
        most_nano,
        run=receipt.id,
        project=str(receipt.caller.project_id),
        key=receipt.caller.key_id,
        seconds=settings.RUN_SECONDS + settings.HOLD_GRACE_SECONDS,
        wait_seconds=wait_seconds,
    )


async def _counted(quote: Quote, route: Route) -> Quote:
    """Return the quote with the prompt as an engine counts it; as it was if none can."""
    for engine in route.engines():
        try:
            quote = quote.exactly(await engine.count_prompt(route.chat))
        except EngineRefused:
            # So would the others.
            break
        except EngineError:
            continue
        if quote.is_exact:
            break
    return quote
