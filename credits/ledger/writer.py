"""The one writer of this process: a thread with a database connection of its own, which commits in groups.

Whatever arrives while one group is being committed forms the next group. Callers come from any event loop; each awaits
its own outcome, and a group wakes each loop once.
"""

import asyncio
import atexit
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar, cast

from django.db import connection

from credits.ledger import metrics
from credits.ledger.commit import commit
from credits.ledger.operations import Held, Operation, Settle

logger = logging.getLogger(__name__)

GROUP_LIMIT: Final = 256

Result = TypeVar("Result")


@dataclass(slots=True)
class _Ticket:
    """An operation and who awaits it; nobody, for one that the ledger asks of itself."""

    operation: Operation[object]
    loop: asyncio.AbstractEventLoop | None = None
    future: asyncio.Future[Any] | None = None


class _Mail:
    """What one group has to say to one event loop."""

    __slots__ = ("_events", "_outcomes", "tickets")

    def __init__(self) -> None:
        self.tickets: list[_Ticket] = []
        self._outcomes: list[object] = []
        self._events: list[asyncio.Event] = []

    def add(self, ticket: _Ticket, outcome: object) -> None:
        self.tickets.append(ticket)
        self._outcomes.append(outcome)

    def wake(self, event: asyncio.Event) -> None:
        self._events.append(event)

    def deliver(self) -> None:
        """Hand out the outcomes; runs in the event loop."""
        for ticket, outcome in zip(self.tickets, self._outcomes, strict=True):
            future = ticket.future
            if future is None or future.done():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
        for event in self._events:
            event.set()

    def taken(self) -> list[Held]:
        """Return the holds whose takers will never hear of them, for a loop that is gone."""
        return [outcome for outcome in self._outcomes if isinstance(outcome, Held)]


class Writer:
    """Commits operations in groups, on a thread that starts with the first of them."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Ticket | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._watchers: dict[int, set[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = {}
        self._watching = threading.Lock()

    async def submit(self, operation: Operation[Result]) -> Result:
        """Have the operation committed and return its result, or raise its refusal.

        Once asked for, it happens, even if the caller is cancelled meanwhile.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._put(_Ticket(operation, loop, future))
        return cast(Result, await future)

    def submit_unheard(self, operation: Operation[object]) -> None:
        """Have the operation committed; nobody awaits its outcome."""
        self._put(_Ticket(operation))

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
        """Commit what was submitted, end the thread and close its connection; the next submit starts another."""
        with self._starting:
            if self._thread:
                self._queue.put(None)
                self._thread.join()
                self._thread = None

    def _put(self, ticket: _Ticket) -> None:
        self._queue.put(ticket)
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
                    self._thread.start()

    def _work(self) -> None:
        """Commit groups until told to stop."""
        try:
            while (ticket := self._queue.get()) is not None:
                group, goes_on = self._gather(ticket)
                try:
                    self._commit(group)
                except Exception:
                    logger.exception("The ledger could not report a group of %d", len(group))
                if not goes_on:
                    return
        finally:
            connection.close()

    def _gather(self, first: _Ticket) -> tuple[list[_Ticket], bool]:
        """Return the next group, and whether another may follow it."""
        group = [first]
        while len(group) < GROUP_LIMIT:
            try:
                ticket = self._queue.get_nowait()
            except Empty:
                break
            if ticket is None:
                return group, False
            group.append(ticket)
        return group, True

    def _commit(self, group: list[_Ticket]) -> None:
        """Commit a group and tell each event loop once."""
        operations = [ticket.operation for ticket in group]
        began_at = time.perf_counter()
        committed = commit(operations)
        seconds = time.perf_counter() - began_at
        mail: dict[asyncio.AbstractEventLoop, _Mail] = {}
        for ticket, outcome in zip(group, committed.outcomes, strict=True):
            if ticket.loop:
                mail.setdefault(ticket.loop, _Mail()).add(ticket, outcome)
        with self._watching:
            for account_id in committed.freed & self._watchers.keys():
                for loop, event in self._watchers[account_id]:
                    mail.setdefault(loop, _Mail()).wake(event)
        for loop, letters in mail.items():
            try:
                loop.call_soon_threadsafe(letters.deliver)
            except RuntimeError:
                # The loop was closed. Its holds would stay until they expire: give them back now.
                for held in letters.taken():
                    self._queue.put(_Ticket(Settle(held.id, 0, "", None)))
        metrics.committed(operations, committed.outcomes, seconds)


writer = Writer()


def _after_fork() -> None:
    """A child has neither its parent's thread nor its callers; it must not share the parent's connection either."""
    global writer  # noqa: PLW0603
    writer = Writer()


def _at_exit() -> None:
    """Commit what was asked for in the last moment: the releases of takers that the shutdown cancelled."""
    writer.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
