"""Moves SQLite's log into the database on a thread of its own, so that no commit waits for it."""

import logging
import threading
from typing import Final

from django.db import Error

from credits.ledger.database import opened

logger = logging.getLogger(__name__)

# Often enough that the log stays small: a group writes from ten to fifty pages.
GROUPS_BETWEEN: Final = 128


class Checkpoints(threading.Thread):
    """Runs a checkpoint after every so many groups; one that fails is made up for by the next, or by a commit."""

    def __init__(self) -> None:
        super().__init__(name="ledger checkpoints", daemon=True)
        self._due = threading.Event()
        self._is_ending = False
        self._groups = 0

    def count_group(self) -> None:
        """Hear of a committed group; for one thread."""
        self._groups += 1
        if self._groups >= GROUPS_BETWEEN:
            self._groups = 0
            self._due.set()

    def end(self) -> None:
        """End the thread, and wait for it."""
        self._is_ending = True
        self._due.set()
        self.join()

    def run(self) -> None:
        """Run checkpoints until the end."""
        database = opened()
        try:
            while self._due.wait() and not self._is_ending:
                self._due.clear()
                try:
                    database.checkpoint()
                except Error as error:
                    logger.warning("The log of SQLite was not moved into the database: %s", error)
                    database.close()
        finally:
            database.close()
