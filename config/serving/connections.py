"""The connections of one server process: how many there may be, by when each has to do something, what it may send.

Whatever is spoken on a connection and whichever server parses it, the same bounds hold. Deadlines are numbers that are
looked at every SWEEP_SECONDS: nothing is scheduled for a single request.
"""

import asyncio
import heapq
import math
from collections.abc import Iterable
from enum import IntFlag
from typing import Final, Protocol

from django.conf import settings

from config.serving import limits, refusals
from web.client_address import network_of

SWEEP_SECONDS: Final = 0.5
# How much of what has nothing under way is closed at once when the server is full: looking for it takes a while.
EVICTED_SHARE: Final = 20


class Transport(Protocol):
    """What is needed of asyncio's transports; Twisted's are wrapped."""

    def write(self, data: bytes) -> None: ...
    def write_eof(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def is_closing(self) -> bool: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def get_write_buffer_size(self) -> int: ...


class Speaker(Protocol):
    """What a server speaks on a connection."""

    # Whether it is a WebSocket.
    is_socket: bool

    def shut_down(self) -> None:
        """Have the client go: at once if nothing is under way, else after the answer; a WebSocket at once."""


class Hold(IntFlag):
    """Why nothing is read from a connection for now."""

    APPLICATION = 1  # It is behind.
    CLIENT = 2  # It does not read what it is sent.
    BACKLOG = 4  # Requests wait for the answer before theirs.
    REFUSED = 8  # Whatever it sends costs too much.


class Address:
    """What the connections from one address do together."""

    __slots__ = ("_pieces", "_window_end", "connections")

    def __init__(self) -> None:
        # In the order in which they came: of those that a loop took in at the same tick, the first is the longest idle.
        self.connections: dict[Connection, None] = {}
        self._pieces = 0
        self._window_end = 0.0

    def take(self, pieces: int, now: float) -> bool:
        """Count pieces against ADDRESS_PIECES; False when they are too many."""
        if now >= self._window_end:
            self._window_end, self._pieces = now + limits.WINDOW_SECONDS, 0
        self._pieces += pieces
        return self._pieces <= limits.ADDRESS_PIECES

    def is_forgotten(self, now: float) -> bool:
        """Whether nothing of it matters any more."""
        return not self.connections and now >= self._window_end


class Connection:
    """One connection: its server's protocol tells what happens, and it acts on the transport."""

    def __init__(self, protocol: Speaker, key: object, transport: Transport, address: Address) -> None:
        loop = asyncio.get_running_loop()
        self.protocol = protocol
        self.key = key
        self.transport = transport
        self.address = address
        self.is_refused = False
        # Whether a whole head ever came, and since when nothing is under way; None while something is.
        self.has_asked = False
        self.idle_since: float | None = loop.time()
        self._loop = loop
        self._deadline = math.inf
        self._holds = Hold(0)
        # While the client does not read: by when it has to have taken something, and what it had not taken then.
        self._unread_deadline = math.inf
        self._unread_bytes = 0
        self._discardable_bytes = limits.DISCARDED_BYTES
        self._pieces = 0
        self._fragments = 0
        self._window_end = 0.0

    def expect_within(self, seconds: float | None) -> None:
        """Cut the connection unless this is called again in time; None: nothing is expected of the client."""
        self._deadline = math.inf if seconds is None else self._loop.time() + seconds

    def begin(self) -> None:
        """Note that something is under way: the connection is not closed to make room for another."""
        self.has_asked, self.idle_since = True, None

    def rest(self) -> None:
        """Note that nothing is under way any more; the next request has KEEP_ALIVE_SECONDS to begin."""
        self.idle_since = self._loop.time()
        self._deadline = self.idle_since + settings.KEEP_ALIVE_SECONDS

    def hold(self, reason: Hold) -> None:
        """Read no more until every reason that was given is released."""
        if not self._holds and not self.transport.is_closing():
            self.transport.pause_reading()
        self._holds |= reason

    def release(self, reason: Hold) -> None:
        """Read on, unless there is another reason not to."""
        if self._holds & reason:
            self._holds &= ~reason
            if not self._holds and not self.transport.is_closing():
                self.transport.resume_reading()

    def settle_reading(self) -> None:
        """Have the transport read nothing if there is a reason: others may have resumed it."""
        if self._holds and not self.transport.is_closing():
            self.transport.pause_reading()

    def pause_reading(self) -> None:
        """The application is behind."""
        self.hold(Hold.APPLICATION)

    def resume_reading(self) -> None:
        """The application has caught up."""
        self.release(Hold.APPLICATION)

    def pause_writing(self) -> None:
        """The client does not read: whatever it sends would only make more that it does not read."""
        self._unread_bytes = self.transport.get_write_buffer_size()
        self._unread_deadline = self._loop.time() + settings.READER_SECONDS + settings.LINGER_SECONDS
        self.hold(Hold.CLIENT)

    def resume_writing(self) -> None:
        """The client reads."""
        self._unread_deadline = math.inf
        self.release(Hold.CLIENT)

    def begin_pieces(self) -> None:
        """Count the pieces of a request from here on."""
        self._pieces = 0

    def take_piece(self, size: int) -> bool:
        """Count a piece of a request, in bytes; False when there were too many small ones."""
        return size >= limits.SMALL_PIECE_BYTES or self._take(1, limits.REQUEST_PIECES)

    def take_frame(self, size: int, *, continues: bool) -> bool:
        """Count a frame, in bytes; False when there were too many of late, or in one message."""
        self._fragments = self._fragments + 1 if continues else 0
        if self._fragments > limits.FRAMES:
            return False
        now = self._loop.time()
        if now >= self._window_end:
            self._window_end, self._pieces = now + limits.WINDOW_SECONDS, 0
        return self._take(1 + size // limits.FRAME_BYTES, limits.FRAMES)

    def refuse(self, answer: bytes | None, *, is_costly: bool = False) -> None:
        """Answer, unless there is nothing to say, and hang up once the client had LINGER_SECONDS to read the answer.

        What it still sends is thrown away meanwhile: a reset would make it lose the answer. Where that is what costs
        too much, it is not even read.
        """
        if self.is_refused or self.transport.is_closing():
            return
        self.is_refused = True
        self.rest()
        if answer is not None:
            self.transport.write(answer)
        self.transport.write_eof()
        if is_costly:
            self.hold(Hold.REFUSED)
        else:
            self.release(Hold.APPLICATION | Hold.CLIENT | Hold.BACKLOG)
        self.expect_within(settings.LINGER_SECONDS)

    def discard(self, size: int) -> None:
        """Throw bytes away that a refused client sent; cut it when it goes on and on."""
        self._discardable_bytes -= size
        if self._discardable_bytes < 0:
            self.transport.abort()

    def check(self, now: float) -> None:
        """Cut a connection whose client is late."""
        if now >= self._deadline:
            self.transport.abort()
        elif now >= self._unread_deadline:
            if self.transport.get_write_buffer_size() < self._unread_bytes:
                self.pause_writing()
            else:
                self.transport.abort()

    def _take(self, pieces: int, most: int) -> bool:
        self._pieces += pieces
        if self._pieces <= limits.FREE_PIECES:
            return True
        return self._pieces <= most and self.address.take(pieces, self._loop.time())


class Connections:
    """All connections of the process, by the transports that its servers know.

    At most ``capacity`` in all and ``per_address`` from one address (0: any number). To make room, one with nothing
    under way is closed, those first that never asked for anything; where there is none, the new one is refused.
    """

    def __init__(self, capacity: int, per_address: int) -> None:
        self._capacity = capacity
        self._per_address = per_address
        self._by_key: dict[object, Connection] = {}
        self._addresses: dict[str, Address] = {}
        self._sweep_timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Count the connections."""
        return len(self._by_key)

    def __getitem__(self, key: object) -> Connection:
        """Return a connection by what it was opened with."""
        return self._by_key[key]

    def open(self, protocol: Speaker, key: object, transport: Transport, host: str) -> Connection:
        """Take in a connection, which has REQUEST_HEAD_SECONDS for its first head; it may come back refused already."""
        address = self._addresses.setdefault(network_of(host) or host, Address())
        connection = Connection(protocol, key, transport, address)
        if self._has_room_for(address) and self._has_room():
            self._by_key[key] = connection
            address.connections[connection] = None
            connection.expect_within(settings.REQUEST_HEAD_SECONDS)
        else:
            connection.refuse(refusals.raw_response(limits.too_many_connections()))
            transport.close()
        if self._sweep_timer is None:
            self._sweep_timer = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)
        return connection

    def close(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        if self._by_key.pop(connection.key, None):
            connection.address.connections.pop(connection, None)

    def shut_down(self, *, sockets: bool) -> None:
        """Have the clients on WebSockets go, or all the others."""
        for connection in tuple(self._by_key.values()):
            if connection.protocol.is_socket == sockets:
                connection.protocol.shut_down()

    def abort(self) -> None:
        """Cut every connection; those who have taken everything see an end, and not a reset."""
        for connection in tuple(self._by_key.values()):
            if connection.transport.get_write_buffer_size():
                connection.transport.abort()
            else:
                connection.transport.close()

    def _has_room_for(self, address: Address) -> bool:
        if not self._per_address or len(address.connections) < self._per_address:
            return True
        return self._evict(address.connections, 1)

    def _has_room(self) -> bool:
        if len(self._by_key) < self._capacity:
            return True
        return self._evict(self._by_key.values(), 1 + self._capacity // EVICTED_SHARE)

    def _evict(self, candidates: Iterable[Connection], count: int) -> bool:
        """Close connections with nothing under way; return whether there were any."""
        idle = (connection for connection in candidates if connection.idle_since is not None)
        evicted = heapq.nsmallest(count, idle, key=lambda connection: (connection.has_asked, connection.idle_since))
        for connection in evicted:
            connection.transport.abort()
            self.close(connection)
        return bool(evicted)

    def _sweep(self) -> None:
        """Look at every deadline, as long as there is anybody."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in tuple(self._by_key.values()):
            connection.check(now)
        for name in [name for name, address in self._addresses.items() if address.is_forgotten(now)]:
            del self._addresses[name]
        self._sweep_timer = loop.call_later(SWEEP_SECONDS, self._sweep) if self._addresses else None
