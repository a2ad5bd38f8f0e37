"""When keys were last used: noted in memory on the hot path, written behind it about once a minute for each key.

The column is outside the change triggers. A note that cannot be written is dropped: the next minute brings another.
"""

import logging
import threading
import time
from collections import OrderedDict
from datetime import timedelta

from django.db import DatabaseError, connection
from django.db.models import Q
from django.utils import timezone

from accounts.models import ApiKey

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 60
# Notes are gathered for this long before they are written.
DELAY_SECONDS = 1.0
LOCK_WAIT_MILLISECONDS = 1_000
REMEMBERED_KEYS = 10_000

_lock = threading.Lock()
_noted: OrderedDict[str, float] = OrderedDict()
_pending: set[str] = set()
_writer: "_Writer | None" = None


def note(key_id: str) -> None:
    """Remember that the key was used just now; costs no query and no waiting."""
    global _writer  # noqa: PLW0603 (one writer per process, and only while there is something to write)
    now = time.monotonic()
    if _noted.get(key_id, -INTERVAL_SECONDS) + INTERVAL_SECONDS > now:
        return
    with _lock:
        _noted[key_id] = now
        _noted.move_to_end(key_id)
        if len(_noted) > REMEMBERED_KEYS:
            _noted.popitem(last=False)
        _pending.add(key_id)
        if _writer is None or not _writer.is_alive():
            _writer = _Writer()
            _writer.start()


def stop() -> None:
    """End the writer, with or without the last second's notes, and forget what was noted."""
    global _writer
    with _lock:
        writer, _writer = _writer, None
        _pending.clear()
        _noted.clear()
    if writer is not None:
        writer.stopping.set()
        writer.join(DELAY_SECONDS + LOCK_WAIT_MILLISECONDS / 1000)


class _Writer(threading.Thread):
    """Writes what is pending, and ends when nothing is left: an idle process has no such thread."""

    def __init__(self) -> None:
        super().__init__(name="accounts-last-used", daemon=True)
        self.stopping = threading.Event()

    def run(self) -> None:
        try:
            while not self.stopping.wait(DELAY_SECONDS) and (key_ids := self._take()):
                self._write(key_ids)
        except DatabaseError as error:
            logger.info("Could not write when keys were last used: %s", error)
        finally:
            connection.close()

    def _take(self) -> list[str]:
        global _writer  # noqa: PLW0603
        with _lock:
            key_ids = sorted(_pending)
            _pending.clear()
            if not key_ids and _writer is self:
                _writer = None  # decided under the lock: a note from here on starts another writer
        return key_ids

    def _write(self, key_ids: list[str]) -> None:
        """Write key by key, each by itself: it never holds two rows, so it cannot deadlock with anyone."""
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute(f"PRAGMA busy_timeout = {LOCK_WAIT_MILLISECONDS}")
        now = timezone.now()
        # Another process may have written it already.
        due = Q(last_used_at=None) | Q(last_used_at__lt=now - timedelta(seconds=INTERVAL_SECONDS / 2))
        for key_id in key_ids:
            if self.stopping.is_set():
                return
            ApiKey.objects.filter(due, pk=key_id).update(last_used_at=now)
