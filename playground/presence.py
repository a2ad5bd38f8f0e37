"""The open sockets of this process: bounded for each person, and told when someone's access may have changed."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from accounts import changes
from accounts.models import TOPIC
from playground.errors import TooMuch
from playground.limits import MAX_SOCKETS_PER_USER

# What ``accounts.changes`` calls the end of a login: a session that is gone, a password that is another.
LOGINS_TOPIC = "logins"


@dataclass(frozen=True, slots=True, eq=False)
class Presence:
    """One open socket."""

    user_id: int
    loop: asyncio.AbstractEventLoop
    check_access: Callable[[], None]


_lock = threading.Lock()
_present: set[Presence] = set()


@contextmanager
def present(user_id: int, check_access: Callable[[], None]) -> Iterator[None]:
    """Count a socket while it lives; ``check_access`` is called on its loop after each change. Raises TooMuch."""
    presence = Presence(user_id, asyncio.get_running_loop(), check_access)
    with _lock:
        if sum(each.user_id == user_id for each in _present) >= MAX_SOCKETS_PER_USER:
            raise TooMuch
        _present.add(presence)
    try:
        for topic in (TOPIC, LOGINS_TOPIC):
            changes.subscribe(topic, _access_changed)
        yield
    finally:
        with _lock:
            _present.discard(presence)


def everyone() -> tuple[Presence, ...]:
    """Return the open sockets."""
    with _lock:
        return tuple(_present)


def _access_changed() -> None:
    """Have every socket's access checked again; called in the watcher's thread."""
    for presence in everyone():
        # A loop that is closed has no sockets left.
        with suppress(RuntimeError):
            presence.loop.call_soon_threadsafe(presence.check_access)
