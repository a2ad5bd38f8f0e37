"""One request over HTTP/1.1 and its response, told to whoever asked as it comes.

The response is trusted with nothing: whatever the server sends is bounded.
"""

import asyncio
from typing import Final, Protocol

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from inference.errors import EngineError, EngineFailed, EngineUnavailable
from inference.transport.connection import Connection, Origin, Pool

# What a server may say before its body, 1xx responses included, and without any body between two chunks.
MAX_HEAD_BYTES: Final = 65_536
MAX_HEADERS: Final = 128
# Larger requests are written in pieces, as the server takes them.
WRITE_PIECE_BYTES: Final = 65_536
# What may follow the end of an answer before its connection is used again.
DRAIN_SECONDS: Final = 0.5
DRAIN_BYTES: Final = 65_536


class Receiver(Protocol):
    """Who asked. After the end, a failure or ``Call.leave`` nothing more is told."""

    def response_began(self, status: int) -> None:
        """The server answers."""

    def body_received(self, data: bytes) -> None:
        """A piece of the body came."""

    def response_ended(self) -> None:
        """The body is whole."""

    def response_failed(self, error: EngineError) -> None:
        """No response began (EngineUnavailable), or it broke off (EngineFailed)."""


class Call:
    """A request on its way and its response; also what the parser calls while it reads."""

    __slots__ = (
        "_body",
        "_connecting",
        "_connection",
        "_drain_timer",
        "_drainable_bytes",
        "_head",
        "_header_bytes",
        "_headers",
        "_is_complete",
        "_is_drained",
        "_is_framed",
        "_is_heard",
        "_is_over",
        "_is_reused",
        "_keeps_alive",
        "_origin",
        "_overhead_bytes",
        "_parser",
        "_pieces",
        "_pool",
        "_receiver",
        "_unsent",
        "on_body",
        "status",
    )

    def __init__(self, pool: Pool, origin: Origin, head: bytes, body: bytes, receiver: Receiver) -> None:
        # Zero until the response begins.
        self.status = 0
        self._pool = pool
        self._origin = origin
        self._head, self._body = head, body
        self._receiver = receiver
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._is_over = False
        self._is_drained = False
        self._drainable_bytes = DRAIN_BYTES
        self._drain_timer: asyncio.TimerHandle | None = None
        self._is_reused = self._is_heard = self._is_framed = self._is_complete = self._keeps_alive = False
        # The last: head or framing since the response's last piece.
        self._headers = self._header_bytes = self._overhead_bytes = 0
        self._unsent = memoryview(b"")
        self._pieces: list[bytes] = []
        # Called by the parser; one answer comes in hundreds of pieces.
        self.on_body = self._pieces.append
        if connection := pool.take(origin):
            self._is_reused = True
            self._send(connection)
        else:
            self._connect()

    def leave(self) -> None:
        """Want no more of it: a connection whose response is complete is kept for the next call, any other closed."""
        if not self._is_over:
            self._end(is_reusable=self._connection is not None and self._is_complete)

    def drain(self) -> None:
        """Want no more of it, but read on within bounds what follows, so that the connection can be used again."""
        if self._is_over or self._connection is None:
            self.leave()
        elif self._is_complete:
            self._end(is_reusable=True)
        else:
            self._is_drained = True
            self._drain_timer = asyncio.get_running_loop().call_later(DRAIN_SECONDS, self.leave)
            self._connection.resume()

    def pause(self) -> None:
        """Read no more for now, so that the server stops sending."""
        if self._connection:
            self._connection.pause()

    def resume(self) -> None:
        """Read again."""
        if self._connection:
            self._connection.resume()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the connection."""
        self._is_heard = True
        self._overhead_bytes += len(data)
        had_status, is_broken = self.status, False
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            # Behind a whole response it says nothing about that, but the connection is of no use any more.
            is_broken, self._keeps_alive = True, False
        if self.status and not had_status and not self._is_drained:
            self._receiver.response_began(self.status)
        if self._pieces:
            self._take_pieces()
        elif self._overhead_bytes > MAX_HEAD_BYTES:
            is_broken = True
        if self._is_complete:
            self._complete()
        elif is_broken:
            self._fail(EngineFailed())

    def connection_lost(self, error: Exception | None) -> None:
        """Take note that the connection closed: for a body without a length, that is its end."""
        if self._is_over or self._is_complete:
            return
        if self.status and not self._is_framed and not error:
            self._is_complete = True
            self._complete()
        elif self._is_reused and not self._is_heard:
            # The server closed a kept connection just now. Nothing was answered, so asking again is safe.
            self._connect_anew()
        else:
            self._fail(EngineFailed() if self._is_heard else EngineUnavailable())

    def can_write(self) -> None:
        """Send on: the server has taken what was sent; once it answers, it wants no more."""
        while self._unsent and self._connection and not self._connection.is_full and not self.status:
            piece, self._unsent = self._unsent[:WRITE_PIECE_BYTES], self._unsent[WRITE_PIECE_BYTES:]
            self._connection.write(piece)

    def on_message_begin(self) -> None:
        """Called by the parser, for 1xx responses too."""
        if self._is_complete:
            raise ValueError("more than one response")
        self._is_framed = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser, for trailers too."""
        self._headers += 1
        self._header_bytes += len(name) + len(value)
        if self._headers > MAX_HEADERS or self._header_bytes > MAX_HEAD_BYTES:
            raise ValueError("too many headers")
        if self.status:
            return
        name = name.lower()
        if name == b"transfer-encoding" and value.strip().lower() != b"chunked":
            raise ValueError("a transfer encoding that was not asked for")
        if name in (b"transfer-encoding", b"content-length"):
            self._is_framed = True

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        status = self._parser.get_status_code()
        if status < 100 or status == 101:
            raise ValueError("not a status to go on with")
        if status >= 200:
            self.status = status
            self._overhead_bytes = 0

    def on_message_complete(self) -> None:
        """Called by the parser."""
        if self.status:
            self._is_complete = True
            self._keeps_alive = self._parser.should_keep_alive()

    def _connect_anew(self) -> None:
        self._is_reused = False
        if connection := self._connection:
            self._connection = None
            connection.leave(is_reusable=False)
        self._connect()

    def _connect(self) -> None:
        self._connecting = asyncio.get_running_loop().create_task(self._send_on_new())

    async def _send_on_new(self) -> None:
        try:
            connection = await self._pool.connect(self._origin)
        except EngineError as error:
            self._fail(error)
        else:
            self._connecting = None
            self._send(connection)

    def _send(self, connection: Connection) -> None:
        self._connection = connection
        self._parser = HttpResponseParser(self)
        connection.call = self
        if connection.is_closed:
            self.connection_lost(None)
        elif len(self._body) <= WRITE_PIECE_BYTES:
            connection.write(self._head + self._body)
        else:
            self._unsent = memoryview(self._body)
            connection.write(self._head)
            self.can_write()

    def _take_pieces(self) -> None:
        self._overhead_bytes = 0
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        if self._is_drained:
            self._drainable_bytes -= len(data)
            if self._drainable_bytes < 0:
                self.leave()
        elif not self._is_over:
            self._receiver.body_received(data)

    def _complete(self) -> None:
        if self._is_over:
            return
        self._end(is_reusable=True)
        if not self._is_drained:
            self._receiver.response_ended()

    def _fail(self, error: EngineError) -> None:
        if self._is_over:
            return
        self._end(is_reusable=False)
        if not self._is_drained:
            self._receiver.response_failed(error)

    def _end(self, *, is_reusable: bool) -> None:
        """Let go of the connection."""
        self._is_over = True
        if self._drain_timer:
            self._drain_timer.cancel()
        if self._connecting and self._connecting is not asyncio.current_task():
            self._connecting.cancel()
        if connection := self._connection:
            self._connection = None
            connection.leave(is_reusable=is_reusable and self._keeps_alive and not self._unsent)
            # The parser holds on to this object in turn.
            del self._parser
