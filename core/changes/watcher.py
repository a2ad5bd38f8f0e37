"""The thread that follows changes, and the lease that says for how long its silence may be trusted."""

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable, Collection
from contextlib import closing, suppress

from core.changes.feeds import FEED_ERRORS, Feed, open_feed

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
# "No change was heard" holds for this long after a check began; then nobody may rely on it until the next one.
LEASE_SECONDS = 1.0
STOP_SECONDS = 5.0


class Watcher(threading.Thread):
    """Tells ``announce`` which topics changed or are ``due``; when it was or becomes blind, all of them."""

    def __init__(
        self,
        topics: Collection[str],
        triggers: Collection[str],
        announce: Callable[[Collection[str]], None],
        due: Callable[[], set[str]],
    ) -> None:
        super().__init__(name="accounts-changes", daemon=True)
        self.lease_ends = 0.0
        self._topics = topics
        self._triggers = triggers
        self._announce = announce
        self._due = due
        self._stopping = False
        self._warned = False
        self._alarm, self._bell = socket.socketpair()

    def run(self) -> None:
        """Follow changes until stopped, connecting again whenever the connection is lost."""
        with self._alarm, self._bell:
            while not self._stopping:
                try:
                    self._follow()
                except FEED_ERRORS as error:
                    # Said once, not twice a second; caches are bypassed meanwhile, so nothing stale is used.
                    logger.log(logging.DEBUG if self._warned else logging.WARNING, "Cannot follow changes: %s", error)
                    self._warned = True
                finally:
                    self.lease_ends = 0.0
                    self._announce(self._topics)
                self._sleep(None)

    def stop(self) -> None:
        """End the thread and its connection; returns when they have ended."""
        self._stopping = True
        with suppress(OSError):  # it has ended by itself
            self._bell.send(b"!")
        self.join(STOP_SECONDS)

    def _follow(self) -> None:
        with closing(open_feed(self._topics, self._triggers)) as feed:
            checked_at = time.monotonic()
            feed.check()
            changed: Collection[str] = self._topics
            while not self._stopping:
                self._announce(changed)
                self.lease_ends = checked_at + LEASE_SECONDS
                self._warned = False
                self._sleep(feed)
                checked_at = time.monotonic()
                changed = feed.check() | self._due()

    def _sleep(self, feed: Feed | None) -> None:
        """Wait for the next check: its time, the feed's sign that there is something, or stop()."""
        # Not select(): a busy server's descriptors are beyond its limit.
        with selectors.DefaultSelector() as selector:
            selector.register(self._alarm, selectors.EVENT_READ)
            file = feed.file() if feed else None
            if file is not None:
                selector.register(file, selectors.EVENT_READ)
            selector.select(POLL_SECONDS)
