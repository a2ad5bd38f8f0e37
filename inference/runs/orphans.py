"""The runs that a killed process left behind: nobody ends them any more."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from credits import ledger
from credits.errors import HoldEnded
from credits.models import Hold


def release(process: str) -> int:
    """Give back what the runs of a process that is gone had set aside, instead of when it expires; return how many.

    For a thread without an event loop; blocks. Raises LedgerError.
    """
    held = Hold.objects.filter(state=Hold.State.OPEN, run__startswith=process)
    holds = list(held.values_list("pk", flat=True))
    if holds:
        asyncio.run(_release(holds))
    return len(holds)


async def _release(holds: Sequence[UUID]) -> None:
    for hold in holds:
        # Its last word may have reached the database after all.
        with suppress(HoldEnded):
            await ledger.release(hold)
