"""How a run ends in the ledger: what was delivered is counted, charged and written down, once, whatever happens."""

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings

from credits import ledger
from credits.errors import LedgerError, OperationRefused
from inference.catalogue import ModelSnapshot
from inference.engines.base import Engine
from inference.paying import counting
from inference.paying.funds import Funds
from inference.paying.pricing import Rates

if TYPE_CHECKING:
    from inference.completion import Completion

logger = logging.getLogger(__name__)


class Bill(NamedTuple):
    """Who pays for a run, and at what price."""

    funds: Funds
    model: ModelSnapshot
    rates: Rates


async def close(run: "Completion", bill: Bill | None) -> None:
    """Settle a finished run, unless it never held anything; a claim that got no answer is given up."""
    try:
        if bill:
            await _settle(run, bill)
    finally:
        if run.claim:
            await run.claim.end()


async def _settle(run: "Completion", bill: Bill) -> None:
    """Charge what was delivered, and write the run's row in the same transaction."""
    receipt, funds = run.receipt, bill.funds
    try:
        await _drained(run, funds)
        usage, receipt.counting = await _count(run, bill, run.engine)
    except asyncio.CancelledError:
        # The process ends: nobody is waited for, and nobody asked.
        usage, receipt.counting = await _count(run, bill, None)
    receipt.usage = usage
    receipt.generated_tokens = max(receipt.generated_tokens, usage.completion_tokens)
    receipt.price_id, receipt.held_nano = bill.rates.price_id, funds.hold.amount_nano
    receipt.cost_nano = funds.charge_nano(bill.rates.cost_nano(usage))
    try:
        await _charge(run, funds.hold)
    except LedgerError:
        # The hold expires by itself; the loss is ours, and the log says which run it was.
        logger.exception("run %s could not be settled", run.id)


async def _drained(run: "Completion", funds: Funds) -> None:
    """Wait for the readers. The hold outlives the slowest, or its credits would be spent by another run meanwhile."""
    await funds.rest()
    while True:
        try:
            async with asyncio.timeout(settings.HOLD_GRACE_SECONDS / 2):
                return await run.answer.drained()
        except TimeoutError:
            await funds.prolong()


async def _count(run: "Completion", bill: Bill, engine: Engine | None) -> counting.Counted:
    model = bill.model
    sense = counting.Sense(model.context_tokens, bill.funds.completion_tokens, model.overhead.image)
    return await counting.count(run.answer, run.answer.delivered, run.chat, engine, sense)


async def _charge(run: "Completion", hold: ledger.Held) -> None:
    """Settle; a row that the database will not have does not take the charge with it."""
    receipt, claim = run.receipt, run.claim
    answer = claim.write(run) if claim and not run.is_void else None
    # The endpoint may have been removed while it answered.
    for row in (receipt.write(answer), replace(receipt, endpoint_id=None).write(answer), None):
        try:
            await ledger.settle(hold.id, receipt.cost_nano, price=str(receipt.price_id), write=row)
            if claim:
                claim.is_kept = bool(row and row.then)
            return
        except OperationRefused:
            logger.exception("the row of run %s was refused", run.id)
