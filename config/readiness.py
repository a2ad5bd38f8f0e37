"""Whether this process could serve a request now: its database answers, and its tables are those of this version."""

import asyncio
import logging
import time
from typing import Final

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from credits import ledger

logger = logging.getLogger(__name__)

CHECK_SECONDS: Final = 2.0
# Nobody who may ask without a key makes the database work more often than this.
REMEMBERED_SECONDS: Final = 1.0


def is_migrated() -> bool:
    """Whether every migration is applied."""
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


class _Memory:
    """The last check: its loop, its outcome and until when that holds; migrations are only looked for until applied."""

    checking: asyncio.Task[str] | None = None
    loop: asyncio.AbstractEventLoop | None = None
    good_until = 0.0
    problem = ""
    is_migrated = False
    settlements_waiting = 0


async def problem() -> str:
    """Return what keeps the process from serving: ``database`` or ``migrations``; nothing when it is ready.

    All who ask share one check, which may outlive CHECK_SECONDS without a second one being started beside it.
    """
    memory = _Memory
    if time.monotonic() < memory.good_until:
        return memory.problem
    loop = asyncio.get_running_loop()
    if memory.checking is None or memory.loop is not loop or memory.checking.done():
        memory.loop, memory.checking = loop, loop.create_task(asyncio.to_thread(_look))
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            memory.problem = await asyncio.shield(memory.checking)
    except TimeoutError:
        return "database"
    memory.good_until = time.monotonic() + REMEMBERED_SECONDS
    return memory.problem


def settlements_waiting() -> int:
    """Return how many settlements waited for the database at the last check, for all processes of this DATA_DIR."""
    return _Memory.settlements_waiting


def _look() -> str:
    """Ask the database, on a thread's own connection, after what waits for it."""
    _Memory.settlements_waiting = ledger.waiting_in_journals(settings.JOURNAL_DIR).settlements
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        _Memory.is_migrated = _Memory.is_migrated or is_migrated()
    except DatabaseError:
        logger.exception("the database does not answer")
        return "database"
    finally:
        connection.close()
    return "" if _Memory.is_migrated else "migrations"
