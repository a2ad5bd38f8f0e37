"""Keeps settlements on the disk while the database takes none, so that a charge survives it and nobody waits for it.

The writer names each settlement that it is given. One that is not committed within WAIT_SECONDS, or that the writer
gives up, is written to this process's file (``credits.ledger.journal_file``), and its caller hears so
(SettlementJournaled). What is in the file is asked of the ledger again until the database has it. That happens once,
whoever asks how often: a hold ends once, so a settlement that was committed already is refused.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Final, NamedTuple

from credits.errors import HoldEnded, LedgerUnavailable, OperationRefused, SettlementJournaled, UnknownHold
from credits.ledger import metrics
from credits.ledger.commit import commit
from credits.ledger.journal_file import JournalFile, Record, waiting_in
from credits.ledger.operations import Settle, Settlement
from credits.ledger.submissions import Outcomes, Submission

logger = logging.getLogger(__name__)

# Who waits for a settlement hears within two seconds.
WAIT_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 0.25
REPLAY_SECONDS: Final = 1.0
GROUP_LIMIT: Final = 256
SUFFIX: Final = ".journal"


class Waiting(NamedTuple):
    """How many settlements wait for the database, and since when (Unix time) the first; 0 if there is none."""

    settlements: int
    since: float


class Journal(threading.Thread):
    """Watches the settlements in the writer's hands, writes down those that wait too long, and replays the file.

    ``tell`` has outcomes delivered to those who asked; ``put`` gives submissions to the writer. Raises OSError.
    """

    def __init__(
        self,
        folder: Path,
        *,
        tell: Callable[[Outcomes], None],
        put: Callable[[Sequence[Submission]], None],
    ) -> None:
        super().__init__(name="ledger journal", daemon=True)
        self._file = JournalFile.create(folder / f"{os.getpid()}-{token_hex(4)}{SUFFIX}")
        self._tell = tell
        self._put = put
        self._ending = threading.Event()
        # What the writer has not reported yet. Loops add to it without the lock.
        self._awaited: dict[Submission, None] = {}
        # Guards all below, and whose outcome has been told.
        self._lock = threading.Lock()
        # Those in the writer's hands that are in the file, and those that are only there.
        self._kept: dict[Submission, Record] = {}
        self._waiting: list[Record] = []
        self._replay_at = 0.0

    def expect(self, submission: Submission) -> None:
        """Hear of a settlement before the writer has it."""
        submission.asked_at = time.monotonic()
        self._awaited[submission] = None

    def reported(self, outcomes: Outcomes) -> list[tuple[Submission, object]]:
        """Hear what became of a group in the writer's hands; return what is still to be told."""
        to_tell: list[tuple[Submission, object]] = []
        given_up: dict[Submission, object] = {}
        with self._lock:
            for submission, outcome in outcomes:
                self._awaited.pop(submission, None)
                if record := self._kept.pop(submission, None):
                    # Who asked has heard already.
                    self._end(record, outcome)
                elif isinstance(outcome, LedgerUnavailable) and isinstance(submission.operation, Settle):
                    given_up[submission] = outcome
                else:
                    to_tell.append((submission, outcome))
            if given_up:
                kept = self._keep(list(given_up))
                self._waiting += kept.values()
                to_tell += [(each, SettlementJournaled() if each in kept else given_up[each]) for each in given_up]
                if lost := len(given_up) - len(kept):
                    metrics.journaled(lost, "lost")
                    logger.error("The journal could not take %d settlements, which are lost", lost)
            self._show()
        return to_tell

    def run(self) -> None:
        """Look after the settlements until the end."""
        while not self._ending.wait(LOOK_SECONDS):
            if self._awaited:
                self._keep_late(time.monotonic() - WAIT_SECONDS)
            if self._waiting and time.monotonic() >= self._replay_at:
                self._replay()

    def stop(self) -> None:
        """End the thread: nothing is written down or replayed but what the writer still reports. Blocks."""
        self._ending.set()
        self.join()

    def close(self) -> None:
        """Let go of the file; what still waits is replayed by whoever serves from the folder next."""
        with self._lock:
            self._file.close(is_done=not self._waiting and not self._kept)

    def _keep_late(self, asked_before: float) -> None:
        """Write down what was asked for before a moment and is not committed, and tell those who asked."""
        late = [submission for submission in list(self._awaited) if submission.asked_at < asked_before]
        if not late:
            return
        with self._lock:
            kept = self._keep([submission for submission in late if submission in self._awaited])
            self._kept |= kept
            for submission in kept:
                del self._awaited[submission]
            self._show()
        self._tell([(submission, SettlementJournaled()) for submission in kept])

    def _keep(self, submissions: Sequence[Submission]) -> dict[Submission, Record]:
        """Write settlements to the file; return those that are in it."""
        try:
            records = self._file.append([submission.operation for submission in submissions])  # type: ignore[misc]
        except OSError as error:
            logger.error("The journal could not be written: %s", error)
            return {}
        kept = {each: record for each, record in zip(submissions, records, strict=True) if record}
        if kept:
            metrics.journaled(len(kept))
            logger.warning("%d settlements wait for the database in the journal", len(kept))
        return kept

    def _replay(self) -> None:
        """Give the first of those that wait to the writer once more."""
        with self._lock:
            first, self._waiting = self._waiting[:GROUP_LIMIT], self._waiting[GROUP_LIMIT:]
            submissions = {Submission(record.settle): record for record in first}
            self._kept |= submissions
            self._replay_at = time.monotonic() + REPLAY_SECONDS
        self._put(list(submissions))

    def _end(self, record: Record, outcome: object) -> None:
        """Be done with a record that the database has, or that it will never have."""
        if (settle := _still_to_settle(record.settle, outcome)) is not None:
            self._waiting.append(record._replace(settle=settle))
            return
        self._replay_at = 0.0
        _mark_done(self._file, record)
        if not self._waiting and not self._kept:
            self._file.begin_anew()

    def _show(self) -> None:
        metrics.waiting_in_journal(len(self._waiting) + len(self._kept))


def replay_left_behind(folder: Path) -> int:
    """Settle what the journals of dead processes hold; return how many settlements that were.

    On the caller's own connection; blocks. Raises LedgerUnavailable; what is not settled then is found again.
    """
    count = 0
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            count += _replay_file(path)
        except OSError:
            logger.exception("The journal %s could not be replayed", path)
    return count


def waiting_in_journals(folder: Path) -> Waiting:
    """Return what waits in the journals of a folder, of whatever process. Raises OSError."""
    written_at = [moment for path in folder.glob(f"*{SUFFIX}") for moment in waiting_in(path)]
    return Waiting(len(written_at), min(written_at, default=0))


def _replay_file(path: Path) -> int:
    file = JournalFile.left_behind(path)
    if file is None:
        return 0
    is_done = False
    try:
        count, left = 0, file.records()
        while left:
            group, left = left[:GROUP_LIMIT], left[GROUP_LIMIT:]
            outcomes = commit([record.settle for record in group]).outcomes
            for record, outcome in zip(group, outcomes, strict=True):
                if isinstance(outcome, LedgerUnavailable):
                    raise outcome
                if settle := _still_to_settle(record.settle, outcome):
                    left.append(record._replace(settle=settle))
                else:
                    count += isinstance(outcome, Settlement)
                    _mark_done(file, record)
        is_done = True
    finally:
        file.close(is_done=is_done)
    if count:
        logger.warning("%d settlements that a dead process could not make are in the database now", count)
    return count


def _still_to_settle(settle: Settle, outcome: object) -> Settle | None:
    """Return what is still to be asked of the ledger for a settlement; nothing, if it is done with it."""
    if isinstance(outcome, LedgerUnavailable):
        return settle
    if isinstance(outcome, OperationRefused) and settle.write:
        # A row that the database will not have does not take the charge with it.
        return Settle(settle.hold_id, settle.cost_nano, settle.price, None)
    if isinstance(outcome, Exception) and not isinstance(outcome, (HoldEnded, UnknownHold)):
        lost = "hold %s could not be settled with %d nano-credits"
        logger.error(lost, settle.hold_id, settle.cost_nano, exc_info=outcome)
    return None


def _mark_done(file: JournalFile, record: Record) -> None:
    """Note it, if that can be written; a settlement that is asked for again changes nothing."""
    try:
        file.mark_done(record)
    except OSError as error:
        logger.warning("The journal could not be written: %s", error)
