"""Notices of committed changes, whoever made them: another process, ``queryset.update()`` or raw SQL.

A topic stands for some tables and columns. Triggers on them count changes (SQLite) or NOTIFY (PostgreSQL), and one
daemon thread in each process hears of it within a second. A cache keeps the stamp with what it read::

    stamp = changes.stamp("accounts")  # before reading; None: read, but keep nothing
    ...
    if changes.stamp("accounts") == stamp:  # what was read is still true

Whenever the thread cannot vouch for having heard everything there is no stamp, and caches are bypassed.
"""

import atexit
import heapq
import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from django.db import DEFAULT_DB_ALIAS, connections, models, transaction

from core.changes.feeds import CHANNEL
from core.changes.watcher import Watcher
from core.clock import timestamp
from core.triggers import Trigger, install

logger = logging.getLogger(__name__)

_lock = threading.Lock()
_numbers = itertools.count(1)
_stamps: dict[str, int] = {}
_triggers: set[str] = set()
_callbacks: dict[str, list[Callable[[], None]]] = {}
# When topics are to be announced, the next first; and the same for finding out that one is there.
_moments: list[tuple[float, str]] = []
_planned: set[tuple[float, str]] = set()
_MOMENTS_PER_SECOND: Final = 10
_watcher: Watcher | None = None


def register(topic: str, tables: Mapping[type[models.Model], Sequence[str] | None]) -> None:
    """Make changes of these models a topic, from an ``AppConfig.ready``; the triggers come with the next migrate.

    Inserted and deleted rows always count; updates count for the named fields only, or for all with None.
    """
    _stamps.setdefault(topic, 0)
    for model, fields in tables.items():
        columns = [_column(model, field) for field in fields or ()]
        triggers = [_listener(topic, model._meta.db_table, columns), *_counters(topic, model._meta.db_table, columns)]
        install(*triggers)
        vendor = connections[DEFAULT_DB_ALIAS].vendor
        _triggers.update(trigger.name for trigger in triggers if vendor in trigger.statements)


def subscribe(topic: str, callback: Callable[[], None]) -> None:
    """Have ``callback`` called, in the watcher's thread, after each change and when changes may have been missed.

    Subscribing twice is the same as once.
    """
    with _lock:
        callbacks = _callbacks.setdefault(topic, [])
        if callback not in callbacks:
            callbacks.append(callback)
    stamp(topic)


def unsubscribe(topic: str, callback: Callable[[], None]) -> None:
    """Stop calling ``callback``; one that was never subscribed is no error."""
    with _lock:
        callbacks = _callbacks.get(topic, [])
        if callback in callbacks:
            callbacks.remove(callback)


def stamp(topic: str) -> int | None:
    """Return a number that differs after every change, or None while changes might go unheard. Costs no query."""
    watcher = _watcher
    if watcher is not None and time.monotonic() < watcher.lease_ends:
        return _stamps[topic]
    _start()
    return None


def is_watching() -> bool:
    """Tell whether every change up to a second ago has been heard."""
    watcher = _watcher
    if watcher is not None and time.monotonic() < watcher.lease_ends:
        return True
    _start()
    return False


def touch(topic: str) -> None:
    """Make this process forget at once, when the current transaction commits; all others hear of it by the triggers."""
    transaction.on_commit(lambda: _renew([topic]))


def announce_at(topic: str, moment: float) -> None:
    """Announce the topic in this process, as if it had changed, within a second of a moment (``core.clock``).

    For what ends by itself, when no row changes: whoever reads such a row says when that will be.
    """
    planned = (math.ceil(moment * _MOMENTS_PER_SECOND) / _MOMENTS_PER_SECOND, topic)
    with _lock:
        if planned not in _planned:
            _planned.add(planned)
            heapq.heappush(_moments, planned)
    stamp(topic)


def stop() -> None:
    """End the watcher and its connection, until the next use; everything that was cached counts as changed."""
    global _watcher
    with _lock:
        watcher, _watcher = _watcher, None
    if watcher is not None:
        watcher.stop()
    _renew(_stamps)


def _column(model: type[models.Model], name: str) -> str:
    field = model._meta.get_field(name)
    assert isinstance(field, models.Field), "a reverse relation has no column"
    return str(field.column)


def _listener(topic: str, table: str, columns: Sequence[str]) -> Trigger:
    """Build PostgreSQL's trigger, one for each statement; the notice is delivered when the transaction commits."""
    return Trigger(
        f"{table}_notify_{topic}",
        table,
        {
            "postgresql": [
                "CREATE OR REPLACE FUNCTION accounts_notify_change() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN PERFORM pg_notify('{CHANNEL}', TG_ARGV[0]); RETURN NULL; END $$",
                f'CREATE TRIGGER "{table}_notify_{topic}" AFTER INSERT OR UPDATE{_of(columns)} OR DELETE OR TRUNCATE '
                f"ON \"{table}\" FOR EACH STATEMENT EXECUTE FUNCTION accounts_notify_change('{topic}')",
                f"SELECT pg_notify('{CHANNEL}', '{topic}')",
            ]
        },
    )


def _counters(topic: str, table: str, columns: Sequence[str]) -> list[Trigger]:
    """Build SQLite's triggers, which count in the same transaction."""
    count = f"UPDATE accounts_change SET version = version + 1 WHERE topic = '{topic}'"
    events = {"insert": "INSERT", "update": f"UPDATE{_of(columns)}", "delete": "DELETE"}
    return [
        Trigger(
            f"{table}_count_{topic}_{name}",
            table,
            {
                "sqlite": [
                    f'CREATE TRIGGER "{table}_count_{topic}_{name}" AFTER {event} ON "{table}" BEGIN {count}; END',
                    # Starts anywhere, so that an emptied and refilled table cannot come back to a version seen before.
                    f"INSERT OR IGNORE INTO accounts_change VALUES ('{topic}', abs(random() % 1000000000000000))",
                    count,
                ]
            },
        )
        for name, event in events.items()
    ]


def _of(columns: Sequence[str]) -> str:
    return " OF " + ", ".join(f'"{column}"' for column in columns) if columns else ""


def _start() -> None:
    global _watcher  # noqa: PLW0603
    with _lock:
        # A thread does not survive fork(), so a forked child starts its own.
        if _watcher is None or not _watcher.is_alive():
            _watcher = Watcher(frozenset(_stamps), frozenset(_triggers), _announce, _due)
            _watcher.start()


def _due() -> set[str]:
    """Take the topics whose moment has come."""
    topics = set()
    with _lock:
        while _moments and _moments[0][0] <= timestamp():
            planned = heapq.heappop(_moments)
            _planned.discard(planned)
            topics.add(planned[1])
    return topics


def _renew(topics: Collection[str]) -> None:
    for topic in topics:
        _stamps[topic] = next(_numbers)


def _announce(topics: Collection[str]) -> None:
    heard = [topic for topic in topics if topic in _stamps]
    _renew(heard)
    for topic in heard:
        for callback in tuple(_callbacks.get(topic, ())):
            try:
                callback()
            except Exception:
                logger.exception("A subscriber to %s failed", topic)


atexit.register(stop)
