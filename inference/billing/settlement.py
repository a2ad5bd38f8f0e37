"""How a run ends in the ledger: what was delivered is counted, charged and written down, once, whatever happens."""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from django.conf import settings

from credits import ledger
from credits.errors import LedgerError, LedgerUnavailable, OperationRefused, SettlementJournaled
from inference.billing import counting
from inference.billing.funds import Funds
from inference.billing.pricing import Rates
from inference.engines.base import Engine
from inference.routing.route import Route
from inference.runs.buffer import Answer
from inference.runs.idempotency_keys import Claim
from inference.runs.receipt import Receipt

logger = logging.getLogger(__name__)


class Bill(NamedTuple):
    """What a run has to be charged for, by whom it was answered, who pays, and at what price."""

    receipt: Receipt
    answer: Answer
    route: Route
    funds: Funds
    rates: Rates


async def close(bill: Bill | None, claim: Claim | None) -> None:
    """Settle a finished run, unless it never held anything; a claim that got no answer is given up."""
    try:
        if bill:
            await _settle(bill, claim)
    finally:
        if claim:
            await claim.end()


async def _settle(bill: Bill, claim: Claim | None) -> None:
    """Charge what was delivered, and write the run's row in the same transaction."""
    receipt, funds = bill.receipt, bill.funds
    try:
        await _drained(bill.answer, funds)
        usage, receipt.counting = await _count(bill, bill.route.engine)
    except asyncio.CancelledError:
        # The process ends: nobody is waited for, and nobody asked.
        usage, receipt.counting = await _count(bill, None)
    receipt.usage = usage
    receipt.generated_tokens = max(receipt.generated_tokens, usage.completion_tokens)
    receipt.price_id, receipt.held_nano = bill.rates.price_id, funds.hold.amount_nano
    receipt.cost_nano = funds.charge_nano(bill.rates.cost_nano(usage))
    try:
        await _charge(bill, claim)
    except LedgerUnavailable as error:
        logger.error(
            "run %s could not be settled, and %d nano-credits are lost: %s", receipt.id, receipt.cost_nano, error
        )
    except LedgerError:
        # The hold expires by itself; the loss is ours, and the log says which run it was.
        logger.exception("run %s could not be settled", receipt.id)


async def _drained(answer: Answer, funds: Funds) -> None:
    """Wait for the readers. The hold outlives the slowest, or its credits would be spent by another run meanwhile."""
    await funds.rest()
    while True:
        try:
            async with asyncio.timeout(settings.HOLD_GRACE_SECONDS / 2):
                return await answer.drained()
        except TimeoutError:
            await funds.prolong()


async def _count(bill: Bill, engine: Engine | None) -> counting.Counted:
    answer, model = bill.answer, bill.route.model
    sense = counting.Sense(model.context_tokens, bill.funds.completion_tokens, model.overhead.image)
    return await counting.count(answer, answer.delivered, bill.route.chat, engine, sense)


async def _charge(bill: Bill, claim: Claim | None) -> None:
    """Settle; a row that the database will not have does not take the charge with it."""
    receipt = bill.receipt
    answer = claim.write(receipt, bill.answer) if claim else None
    for row in _rows(receipt, answer):
        try:
            await ledger.settle(bill.funds.hold.id, receipt.cost_nano, price=str(receipt.price_id), write=row)
        except SettlementJournaled:
            # With the row, and charged later; meanwhile nobody waits.
            logger.warning("run %s is charged once the database takes writes", receipt.id)
        except OperationRefused as error:
            if row is None:
                raise
            reason = " ".join(str(error.__cause__ or error).split())
            logger.warning("the row of run %s was refused: %s", receipt.id, reason)
            continue
        if claim:
            claim.is_kept = bool(row and row.then)
        return


def _rows(receipt: Receipt, answer: ledger.Write | None) -> Iterator[ledger.Write | None]:
    """Yield what may be written, from the best to nothing."""
    yield receipt.write(answer)
    # The endpoint may have been removed while it answered.
    yield replace(receipt, endpoint_id=None).write(answer)
    yield None
