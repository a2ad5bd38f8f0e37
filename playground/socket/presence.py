"""The open sockets of this process, bounded for each person; and who is told when someone's access may have changed.

With Redis, a person's sockets are counted over all processes.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass

from accounts.models import LOGINS_TOPIC, TOPIC
from core import changes
from inference.concurrency.slots import Slot, Slots
from playground.errors import TooMuch
from playground.limits import MAX_SOCKETS_PER_USER


@dataclass(frozen=True, slots=True, eq=False)
class Listener:
    """An open socket, or a run under way."""

    loop: asyncio.AbstractEventLoop
    check_access: Callable[[], None]


_lock = threading.Lock()
_listeners: set[Listener] = set()


async def present(slots: Slots, user_id: int, check_access: Callable[[], None]) -> AbstractContextManager[None]:
    """Count a socket while what is returned is entered, and tell it as ``listening`` does. Raises TooMuch."""
    slot = Slot([("browsers", user_id)], slots)
    if await slot.take([MAX_SOCKETS_PER_USER]) is not None:
        raise TooMuch
    return _present_with(slot, check_access)


@contextmanager
def _present_with(slot: Slot, check_access: Callable[[], None]) -> Iterator[None]:
    try:
        with listening(check_access):
            yield
    finally:
        slot.give_back()


@contextmanager
def listening(check_access: Callable[[], None]) -> Iterator[None]:
    """Have ``check_access`` called on this loop after each change of access, or of logins, meanwhile."""
    listener = Listener(asyncio.get_running_loop(), check_access)
    with _lock:
        _listeners.add(listener)
    try:
        for topic in (TOPIC, LOGINS_TOPIC):
            changes.subscribe(topic, _access_changed)
        yield
    finally:
        with _lock:
            _listeners.discard(listener)


def everyone() -> tuple[Listener, ...]:
    """Return who listens."""
    with _lock:
        return tuple(_listeners)


def _access_changed() -> None:
    """Have everyone's access checked again; called in the watcher's thread."""
    for listener in everyone():
        # A loop that is closed has nobody left.
        with suppress(RuntimeError):
            listener.loop.call_soon_threadsafe(listener.check_access)
