"""The one writer of this process: a thread with a database connection of its own, which commits in groups.

Whatever arrives while one group is being committed forms the next group. Callers come from any event loop: what one
turn of a loop submits is put into the queue at once, and each group wakes each loop once.
"""

import asyncio
import atexit
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar, cast
from uuid import UUID

from credits.errors import LedgerUnavailable
from credits.ledger import metrics
from credits.ledger.book import Rows
from credits.ledger.checkpoints import Checkpoints
from credits.ledger.commit import RETRY_SECONDS, Patience, commit
from credits.ledger.database import Database, opened
from credits.ledger.journal import Journal
from credits.ledger.operations import Held, Operation, Settle
from credits.ledger.submissions import OnDone, Outcomes, Submission

logger = logging.getLogger(__name__)

GROUP_LIMIT: Final = 256

Result = TypeVar("Result")


class _Delivery:
    """What one group has to tell one event loop."""

    __slots__ = ("events", "outcomes")

    def __init__(self) -> None:
        self.outcomes: list[tuple[Submission, object]] = []
        self.events: list[asyncio.Event] = []

    def deliver(self) -> None:
        """Hand out the outcomes; runs in the event loop."""
        for submission, outcome in self.outcomes:
            assert submission.on_done
            try:
                submission.on_done(outcome)
            except Exception:
                logger.exception("The outcome of %s was not taken", type(submission.operation).__name__)
        for event in self.events:
            event.set()


class Writer:
    """Commits operations in groups, on a thread that starts with the first of them."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget every caller: those of a process are not those of its fork, which has neither their thread."""
        self._queue: SimpleQueue[Sequence[Submission] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        # What the present turn of each loop has submitted.
        self._turns: dict[asyncio.AbstractEventLoop, list[Submission]] = {}
        self._watchers: dict[int, set[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = {}
        self._watching = threading.Lock()
        self._journal: Journal | None = None
        self._patience = Patience()

    def keep_journal(self, folder: Path) -> None:
        """Have settlements written down there while the database takes none, until ``close``.

        A folder that cannot be written is told to the log, and settlements wait for the database as they do without.
        """
        if self._journal:
            return
        try:
            self._journal = Journal(folder, tell=self._tell, put=self._put)
        except OSError:
            logger.exception("No journal can be kept in %s: charges are lost if the database is away for long", folder)
            return
        self._patience = Patience(for_charges=False)
        self._journal.start()

    def submit_callback(
        self, operation: Operation[Any], loop: asyncio.AbstractEventLoop, on_done: OnDone | None
    ) -> None:
        """Have the operation committed, and call back in the loop with its result or its refusal.

        For the loop's own thread. Operations are applied in the order in which they were submitted.
        """
        submission = Submission(operation, loop, on_done)
        if self._journal and type(operation) is Settle:
            self._journal.expect(submission)
        turn = self._turns.get(loop)
        if turn is None:
            self._turns[loop] = [submission]
            loop.call_soon(self._end_turn, loop)
        else:
            turn.append(submission)

    async def submit(self, operation: Operation[Result]) -> Result:
        """Have the operation committed and return its result, or raise its refusal.

        Once asked for, it happens, even if the caller is cancelled meanwhile.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self.submit_callback(operation, loop, partial(_resolve, future))
        return cast(Result, await future)

    def give_back(self, hold_id: UUID, loop: asyncio.AbstractEventLoop) -> None:
        """Release a hold whose taker, in that loop, will not hear of it; it may be still to be taken."""
        release = Settle(hold_id, 0, "", None)
        if _running_loop() is loop:
            self.submit_callback(release, loop, None)
        else:
            self._end_turns()
            self._put([Submission(release)])

    @contextmanager
    def watch(self, account_id: int) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever this process ends a hold of the account."""
        watcher = (asyncio.get_running_loop(), asyncio.Event())
        with self._watching:
            self._watchers.setdefault(account_id, set()).add(watcher)
        try:
            yield watcher[1]
        finally:
            with self._watching:
                watchers = self._watchers[account_id]
                watchers.remove(watcher)
                if not watchers:
                    del self._watchers[account_id]

    def close(self) -> None:
        """Commit what was submitted, end the threads and close the connection; the next submission starts another."""
        self._end_turns()
        if self._journal:
            self._journal.stop()
        with self._starting:
            if self._thread:
                self._queue.put(None)
                self._thread.join()
                self._thread = None
        if self._journal:
            self._journal.close()
            self._journal = None
        self._patience = Patience()

    def _end_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Put what the loop's turn has submitted into the queue."""
        if turn := self._turns.pop(loop, None):
            self._put(turn)

    def _end_turns(self) -> None:
        """Do so for the loops that have stopped in the middle of a turn; one that runs does it itself."""
        for loop in list(self._turns):
            if not loop.is_running():
                self._end_turn(loop)

    def _put(self, submissions: Sequence[Submission]) -> None:
        self._queue.put(submissions)
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
                    self._thread.start()

    def _work(self) -> None:
        """Commit groups until told to stop."""
        database, rows = opened(), Rows()
        checkpoints = Checkpoints() if database.is_sqlite else None
        if checkpoints:
            checkpoints.start()
        try:
            while (submissions := self._queue.get()) is not None:
                waiting, goes_on = self._gather(submissions)
                for start in range(0, len(waiting), GROUP_LIMIT):
                    group = waiting[start : start + GROUP_LIMIT]
                    try:
                        self._commit(group, database, rows)
                    except Exception:
                        logger.exception("The ledger could not report a group of %d", len(group))
                    if checkpoints:
                        checkpoints.count_group()
                if not goes_on:
                    return
        finally:
            database.close()
            if checkpoints:
                checkpoints.end()

    def _gather(self, first: Sequence[Submission]) -> tuple[Sequence[Submission], bool]:
        """Return what is waiting, and whether more may follow it."""
        waiting = list(first)
        while len(waiting) < GROUP_LIMIT:
            try:
                submissions = self._queue.get_nowait()
            except Empty:
                break
            if submissions is None:
                return waiting, False
            waiting.extend(submissions)
        return waiting, True

    def _commit(self, group: Sequence[Submission], database: Database, rows: Rows) -> None:
        """Commit a group and tell each event loop once."""
        operations = [submission.operation for submission in group]
        began_at = time.perf_counter()
        committed = commit(operations, database, rows, self._patience)
        seconds = time.perf_counter() - began_at
        is_away = isinstance(committed.outcomes[-1], LedgerUnavailable)
        self._patience = Patience(0 if is_away and self._journal else RETRY_SECONDS, self._journal is None)
        outcomes: Outcomes = zip(group, committed.outcomes, strict=True)
        if self._journal:
            outcomes = self._journal.reported(outcomes)
        self._tell(outcomes, committed.freed)
        metrics.committed(operations, committed.outcomes, seconds)

    def _tell(self, outcomes: Outcomes, freed: AbstractSet[int] = frozenset()) -> None:
        """Tell each event loop once what became of what it submitted, and whose credits are free."""
        deliveries: dict[asyncio.AbstractEventLoop, _Delivery] = {}
        for submission, outcome in outcomes:
            if submission.loop and submission.on_done:
                deliveries.setdefault(submission.loop, _Delivery()).outcomes.append((submission, outcome))
        with self._watching:
            for account_id in freed & self._watchers.keys():
                for loop, event in self._watchers[account_id]:
                    deliveries.setdefault(loop, _Delivery()).events.append(event)
        for loop, delivery in deliveries.items():
            try:
                loop.call_soon_threadsafe(delivery.deliver)
            except RuntimeError:
                # The loop was closed. Its holds would stay until they expire: give them back now.
                for _, outcome in delivery.outcomes:
                    if isinstance(outcome, Held):
                        self.give_back(outcome.id, loop)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _resolve(future: "asyncio.Future[Any]", outcome: object) -> None:
    """Hand an outcome to who awaits it, unless that was cancelled."""
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


# For the whole process, whoever imports it: there is one connection that writes money, and one queue to it.
writer = Writer()


def keep_journal(folder: Path) -> None:
    """Have this process's settlements written down in a folder while the database takes none, until ``close``."""
    writer.keep_journal(folder)


def close() -> None:
    """Commit what was asked for, and end this process's writer; the next operation starts it again."""
    writer.close()


os.register_at_fork(after_in_child=writer.begin_anew)
# What was asked for in the last moment is committed too: the releases of takers that the shutdown cancelled.
atexit.register(close)
