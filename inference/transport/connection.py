"""Connections to the models' servers, kept between requests."""

import asyncio
import logging
import ssl
from collections import deque
from functools import cached_property
from typing import NamedTuple, Protocol, cast

from inference.errors import EngineOverloaded, EngineUnavailable
from inference.transport import networks

logger = logging.getLogger(__name__)

# To an open connection, names looked up and TLS agreed.
CONNECT_SECONDS = 5.0
# Above every sum of endpoint concurrencies that one process can serve; admission is what limits requests.
MAX_CONNECTIONS = 10_000
# An unused connection is closed before the servers' own limit (five seconds in uvicorn), so that no request meets it.
IDLE_SECONDS = 4.0


class Origin(NamedTuple):
    """Where requests go; those to one origin share connections."""

    host: str
    port: int
    is_tls: bool


class Served(Protocol):
    """The call that a connection serves."""

    def data_received(self, data: bytes) -> None:
        """Take bytes that came."""

    def connection_lost(self, error: Exception | None) -> None:
        """Take note that the connection closed, or that the server sends nothing more."""

    def can_write(self) -> None:
        """Take note that the server has taken what was sent."""


class Connection(asyncio.Protocol):
    """One socket, which serves one call at a time."""

    def __init__(self, origin: Origin, pool: "Pool") -> None:
        self.origin = origin
        self.call: Served | None = None
        # On the loop's clock; means something while the connection is in the pool.
        self.idle_since = 0.0
        self.is_closed = False
        # More waits to be written than the transport wants to keep.
        self.is_full = False
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._is_aborted = False
        self._is_reading = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket; one that nobody waits for any more is closed."""
        self._transport = cast(asyncio.Transport, transport)
        if self._is_aborted:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Pass on what came; what nobody asked for makes the connection worthless."""
        if self.call:
            self.call.data_received(data)
        else:
            self.abort()

    def eof_received(self) -> None:
        """Nothing more will come. The transport closes itself."""
        self.is_closed = True
        if self.call:
            self.call.connection_lost(None)

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the call, and be forgotten."""
        self.is_closed = True
        self._pool.forget(self)
        if self.call:
            # Our own closing must not look like the server's, which is the end of some bodies.
            self.call.connection_lost(ConnectionAbortedError() if self._is_aborted else error)

    def pause_writing(self) -> None:
        """The server reads too slowly."""
        self.is_full = True

    def resume_writing(self) -> None:
        """The server caught up."""
        self.is_full = False
        if self.call:
            self.call.can_write()

    def write(self, data: bytes | memoryview) -> None:
        """Send bytes; check ``is_full`` between large ones."""
        if self._transport and not self.is_closed:
            self._transport.write(data)

    def pause(self) -> None:
        """Stop reading, so that the server stops sending."""
        if self._transport and self._is_reading and not self.is_closed:
            self._is_reading = False
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._transport and not self._is_reading and not self.is_closed:
            self._is_reading = True
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close the socket at once, whatever is under way."""
        self.is_closed = self._is_aborted = True
        if self._transport:
            self._transport.abort()

    def leave(self, *, is_reusable: bool) -> None:
        """Let go of the call: back to the pool, or closed at once."""
        self.call = None
        if is_reusable and not self.is_closed and self._transport and not self._transport.get_write_buffer_size():
            self.resume()
            self._pool.keep(self)
        else:
            self.abort()


class Pool:
    """The connections of one event loop, by origin; those left longest are closed first."""

    def __init__(self, loop: asyncio.AbstractEventLoop, idle_seconds: float = IDLE_SECONDS) -> None:
        self._loop = loop
        self._idle_seconds = idle_seconds
        self._is_closed = False
        self._open: set[Connection] = set()
        self._idle: dict[Origin, deque[Connection]] = {}
        self._sweeping: asyncio.TimerHandle | None = None

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        return context

    def take(self, origin: Origin) -> Connection | None:
        """Return a connection that was used before, if there is one that still looks alive."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if not connection.is_closed and connection.idle_since > self._loop.time() - self._idle_seconds:
                return connection
            connection.abort()
        return None

    async def connect(self, origin: Origin) -> Connection:
        """Return a new connection. Raises EngineUnavailable, and EngineOverloaded beyond MAX_CONNECTIONS."""
        if self._is_closed:
            raise EngineUnavailable
        if len(self._open) >= MAX_CONNECTIONS:
            raise EngineOverloaded
        connection = Connection(origin, self)
        self._open.add(connection)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._open_socket(connection, origin)
        except BaseException as error:
            connection.abort()
            self._open.discard(connection)
            if isinstance(error, networks.AddressRefused):
                logger.warning("An engine was not called: %s", error)
                raise EngineUnavailable from error
            # A ValueError is a host that cannot be one.
            if isinstance(error, (OSError, ValueError)):
                raise EngineUnavailable from error
            raise
        return connection

    async def _open_socket(self, connection: Connection, origin: Origin) -> None:
        """Connect to the first address that answers, of those that were checked; the name is for TLS alone."""
        tls, name = (self._tls, origin.host) if origin.is_tls else (None, None)
        addresses = await networks.resolve(self._loop, origin.host, origin.port)
        for address in addresses:
            try:
                await self._loop.create_connection(
                    lambda: connection, address, origin.port, ssl=tls, server_hostname=name
                )
            except OSError:
                if address == addresses[-1] or connection.is_closed:
                    raise
            else:
                return

    def keep(self, connection: Connection) -> None:
        """Take a connection back for the next request."""
        if self._is_closed:
            connection.abort()
            return
        connection.idle_since = self._loop.time()
        self._idle.setdefault(connection.origin, deque()).append(connection)
        if not self._sweeping:
            self._sweeping = self._loop.call_later(self._idle_seconds, self._sweep)

    def forget(self, connection: Connection) -> None:
        """Count a closed connection no longer; the next sweep takes it from the idle ones."""
        self._open.discard(connection)

    async def close(self) -> None:
        """Close every connection, those in use too, and take no more."""
        self._is_closed = True
        if self._sweeping:
            self._sweeping.cancel()
        for connection in tuple(self._open):
            connection.abort()
        # The loop closes sockets in its next turn.
        await asyncio.sleep(0)

    def _sweep(self) -> None:
        """Close what was not used for the idle time."""
        earliest = self._loop.time() - self._idle_seconds
        for origin, idle in tuple(self._idle.items()):
            while idle and (idle[0].is_closed or idle[0].idle_since <= earliest):
                idle.popleft().abort()
            if not idle:
                del self._idle[origin]
        oldest = min((idle[0].idle_since for idle in self._idle.values()), default=None)
        self._sweeping = None if oldest is None else self._loop.call_at(oldest + self._idle_seconds, self._sweep)
