"""How a run ends in the ledger: what was delivered is counted, charged and written down, once, whatever happens."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from credits import ledger
from credits.errors import LedgerError, LedgerUnavailable, OperationRefused, SettlementJournaled
from inference.billing import counting
from inference.billing.counting import Counted, Sense, TokenCounter
from inference.billing.funds import Funds
from inference.chunks import Chunk

logger = logging.getLogger(__name__)


async def count(
    chunks: Sequence[Chunk], delivered: int, counter: TokenCounter, funds: Funds, image_tokens: int | None
) -> Counted:
    """Return what was delivered, in tokens; if the process ends meanwhile, nobody is asked."""
    sense = Sense(counter.context_tokens, funds.completion_tokens, image_tokens)
    try:
        if funds.is_changing:
            await funds.rest()
        return await counting.count(chunks, delivered, counter.chat, counter.engine, sense)
    except asyncio.CancelledError:
        return await counting.count(chunks, delivered, counter.chat, None, sense)


@dataclass(slots=True)
class Settlement:
    """One run's charge on its way into the ledger; ``on_done`` is told what row was written with it, if one was.

    ``rows`` yields the run's row, and others to try where the database refuses that; the last try is without any, so
    that a refused row does not take the charge with it.
    """

    run_id: str
    hold_id: UUID
    price_id: int
    cost_nano: int
    rows: Iterator[ledger.Write]
    on_done: Callable[[ledger.Write | None], None]
    _row: ledger.Write | None = field(default=None, init=False)

    def submit(self) -> None:
        """Settle the hold."""
        self._row = next(self.rows, None)
        settle = ledger.prepare_settlement(self.hold_id, self.cost_nano, price=str(self.price_id), write=self._row)
        ledger.submit(settle, asyncio.get_running_loop(), self._settled)

    def _settled(self, outcome: Any) -> None:
        if isinstance(outcome, OperationRefused) and self._row:
            reason = " ".join(str(outcome.__cause__ or outcome).split())
            logger.warning("the row of run %s was refused: %s", self.run_id, reason)
            self.submit()
            return
        if isinstance(outcome, SettlementJournaled):
            # With the row, and charged later; meanwhile nobody waits.
            logger.warning("run %s is charged once the database takes writes", self.run_id)
            self.on_done(self._row)
            return
        if isinstance(outcome, LedgerUnavailable):
            logger.error(
                "run %s could not be settled, and %d nano-credits are lost: %s", self.run_id, self.cost_nano, outcome
            )
        elif isinstance(outcome, LedgerError):
            # The hold expires by itself; the loss is ours, and the log says which run it was.
            logger.error("run %s could not be settled", self.run_id, exc_info=outcome)
        self.on_done(None if isinstance(outcome, Exception) else self._row)
