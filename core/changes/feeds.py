"""How this process hears of committed changes: one dedicated connection for each kind of database.

The connections are the drivers' own, outside Django's pool, and live and die with the watcher's thread.
"""

import sqlite3
from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

from django.db import connections

CHANNEL = "parley_changes"
CONNECT_SECONDS = 5

# The database's driver. One that is not in use is not loaded.
_driver: Any = connections["default"].Database  # type: ignore[attr-defined]

FEED_ERRORS = (sqlite3.Error, _driver.Error, OSError)


class FeedLost(OSError):
    """Changes may have gone unheard."""


class Feed(Protocol):
    """Raises one of FEED_ERRORS, at opening or later, when it cannot vouch for having heard everything."""

    def check(self) -> set[str]:
        """Return the topics changed since the last check; the first check returns none of meaning."""

    def file(self) -> int | None:
        """A descriptor that turns readable when a check is worthwhile before its time."""

    def close(self) -> None:
        """Let go of the connection."""


def open_feed(topics: Collection[str], triggers: Collection[str]) -> Feed:
    """Connect to the default database; ``triggers`` are those that must exist for a change to be heard."""
    connection = connections["default"]
    if connection.vendor == "postgresql":
        return PostgreSQLFeed(connection.get_connection_params(), triggers)
    return SQLiteFeed(str(connection.settings_dict["NAME"]), topics, triggers)


class SQLiteFeed:
    """Polls the counters that triggers turn (``accounts.models.Change``)."""

    def __init__(self, name: str, topics: Collection[str], triggers: Collection[str]) -> None:
        self._path = Path(name).resolve()
        self._topics = frozenset(topics)
        self._triggers = frozenset(triggers)
        self._versions: dict[str, int] = {}
        self._file = self._path.stat().st_ino
        # Never creates the file, never writes, and never waits long for whoever holds it.
        self._connection = sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, timeout=1, isolation_level=None)

    def check(self) -> set[str]:
        """Compare the counters with what they were."""
        if self._path.stat().st_ino != self._file:
            raise FeedLost("the database file was replaced")
        triggers = {name for (name,) in self._connection.execute("SELECT name FROM sqlite_master WHERE type='trigger'")}
        versions = dict(self._connection.execute("SELECT topic, version FROM accounts_change").fetchall())
        if not (self._triggers <= triggers and self._topics <= versions.keys()):
            raise FeedLost("triggers are missing: run manage.py migrate")
        changed = {topic for topic in self._topics if versions[topic] != self._versions.get(topic)}
        self._versions = versions
        return changed

    def file(self) -> None:
        """Nothing wakes a poll early."""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class PostgreSQLFeed:
    """Listens; each check is also the heartbeat that proves the connection, and the triggers, are still there."""

    def __init__(self, parameters: dict[str, Any], triggers: Collection[str]) -> None:
        self._triggers = sorted(triggers)
        self._heard: set[str] = set()
        limits = {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": CONNECT_SECONDS * 1000}
        self._connection = _driver.connect(**(parameters | limits), autocommit=True)
        self._connection.add_notify_handler(lambda notice: self._heard.add(notice.payload))
        self._connection.execute(f"LISTEN {CHANNEL}")

    def check(self) -> set[str]:
        """Ask for a sign of life; the notices come with the answer."""
        row = self._connection.execute(
            "SELECT count(DISTINCT tgname) FROM pg_trigger WHERE tgname = ANY(%s) AND tgenabled <> 'D'",
            [self._triggers],
        ).fetchone()
        if row != (len(self._triggers),):
            raise FeedLost("triggers are missing: run manage.py migrate")
        heard, self._heard = self._heard, set()
        return heard

    def file(self) -> int:
        """The connection's socket."""
        descriptor: int = self._connection.fileno()
        return descriptor

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
