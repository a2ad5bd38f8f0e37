"""The hold behind a run: large enough for all that may be delivered, and no reason to refuse what can be paid."""

import msgspec
from django.conf import settings

from accounts.caller import Caller
from credits import ledger
from credits.errors import InsufficientCredits
from inference import counting
from inference.catalogue import ModelSnapshot
from inference.chat import Chat
from inference.engines.base import Engine
from inference.errors import EngineError
from inference.pricing import Rates


class Funds(msgspec.Struct, frozen=True):
    """A hold, and how many generated tokens it covers."""

    hold: ledger.Held
    completion_tokens: int


async def take(run: str, caller: Caller, chat: Chat, *, model: ModelSnapshot, rates: Rates, engine: Engine) -> Funds:
    """Hold the most that the run can cost. Raises InsufficientCredits.

    The prompt is first bounded by its size in bytes, which costs nothing; when that does not fit, the engine counts it
    exactly. A request that the balance covers, but for other requests' open holds, waits for these to end.
    """
    completion_tokens = min(chat.completion_limit or model.context_tokens, model.context_tokens)
    bound = min(len(counting.prompt_bytes(chat)) + model.template_tokens, model.context_tokens)
    try:
        return Funds(await _hold(run, caller, rates.bound_nano(bound, completion_tokens)), completion_tokens)
    except InsufficientCredits:
        exact = await _exact_prompt(chat, engine)
    amount = rates.bound_nano(bound if exact is None else exact, completion_tokens)
    return Funds(await _hold(run, caller, amount, settings.HOLD_WAIT_SECONDS), completion_tokens)


async def _hold(run: str, caller: Caller, amount_nano: int, wait_seconds: float = 0) -> ledger.Held:
    return await ledger.hold(
        caller.team_id,
        amount_nano,
        run=run,
        project=str(caller.project_id),
        key=caller.key_id,
        seconds=settings.RUN_SECONDS + settings.HOLD_GRACE_SECONDS,
        wait_seconds=wait_seconds,
    )


async def _exact_prompt(chat: Chat, engine: Engine) -> int | None:
    try:
        return await engine.count_prompt(chat)
    except EngineError:
        return None
