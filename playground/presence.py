"""The open sockets of this process: bounded for each person, and told when someone's access may have changed.

With Redis, a person's sockets are counted over all processes.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass

from accounts import changes
from accounts.models import TOPIC
from inference.in_flight import InFlightHere
from inference.places import Place
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


_counts = InFlightHere()
_lock = threading.Lock()
_present: set[Presence] = set()


async def present(user_id: int, check_access: Callable[[], None]) -> AbstractContextManager[None]:
    """Count a socket while what is returned is entered. Raises TooMuch.

    ``check_access`` is called on this loop after each change meanwhile.
    """
    place = Place([("browsers", user_id)], _counts)
    if await place.take([MAX_SOCKETS_PER_USER]) is not None:
        raise TooMuch
    return _present_with(place, Presence(user_id, asyncio.get_running_loop(), check_access))


@contextmanager
def _present_with(place: Place, presence: Presence) -> Iterator[None]:
    with _lock:
        _present.add(presence)
    try:
        for topic in (TOPIC, LOGINS_TOPIC):
            changes.subscribe(topic, _access_changed)
        yield
    finally:
        with _lock:
            _present.discard(presence)
        place.give_back()


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
