"""Writes an answer down while it comes, at a bounded rate, so that a killed process loses a second of it at most; and
its end, however often the database has to be asked."""

import asyncio
import logging
import time
from typing import Final

from channels.db import database_sync_to_async
from django.db import DatabaseError

from inference.runs.buffer import Buffer
from inference.runs.receipt import Receipt
from playground.conversations import store
from playground.conversations.assembly import Said, said
from playground.conversations.branches import Turn
from playground.models import Message

logger = logging.getLogger(__name__)

# Between two writes; a long text, which is written whole each time, waits longer.
SAVE_SECONDS: Final = 1.0
CHARACTERS_PER_SECOND: Final = 100_000
# How long the end of an answer is tried to be written down, and how often.
CONCLUDE_SECONDS: Final = 600
FIRST_RETRY_SECONDS: Final = 0.5
LONGEST_RETRY_SECONDS: Final = 15


async def save(buffer: Buffer, turn: Turn) -> None:
    """Write down what there is of an answer, again and again, until cancelled."""
    written = 0
    while True:
        await asyncio.sleep(SAVE_SECONDS)
        if len(buffer.chunks) == written:
            continue
        written = len(buffer.chunks)
        told = said(buffer.chunks)
        try:
            await database_sync_to_async(store.keep_progress)(turn, told)
        except DatabaseError as error:
            logger.warning("an answer's progress could not be written down: %s", error)
        await asyncio.sleep((len(told.content) + len(told.reasoning)) / CHARACTERS_PER_SECOND)


async def cancelled(task: "asyncio.Task[None]") -> None:
    """Cancel a task, and return when it has ended."""
    task.cancel()
    await asyncio.wait({task})


async def conclude(turn: Turn, receipt: Receipt, told: Said, error: Exception | None) -> Message:
    """Write down how an answer ended. Raises DatabaseError where that failed; it is tried on behind that."""
    try:
        concluded: Message = await database_sync_to_async(store.conclude)(turn, receipt, told, error)
    except DatabaseError:
        trying = asyncio.create_task(_conclude_later(turn, receipt, told, error))
        _trying.add(trying)
        trying.add_done_callback(_trying.discard)
        raise
    return concluded


# A task that nobody refers to may be collected before it ends.
_trying: set["asyncio.Task[None]"] = set()


async def _conclude_later(turn: Turn, receipt: Receipt, told: Said, error: Exception | None) -> None:
    began, delay = time.monotonic(), FIRST_RETRY_SECONDS
    while time.monotonic() - began < CONCLUDE_SECONDS:
        await asyncio.sleep(delay)
        delay = min(2 * delay, LONGEST_RETRY_SECONDS)
        try:
            await database_sync_to_async(store.conclude)(turn, receipt, told, error)
        except DatabaseError:
            continue
        return
    logger.error("the answer of run %s was never written down", receipt.id)
