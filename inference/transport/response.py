"""A response over HTTP/1.1, read as it comes and trusted with nothing: whatever the server sends is bounded."""

import asyncio
from contextlib import suppress

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from inference.errors import EngineError, EngineFailed, EngineTimeout, EngineUnavailable
from inference.transport.connection import Connection

# What a server may say before its body, 1xx responses included, and without any body between two chunks.
MAX_HEAD_BYTES = 65_536
MAX_HEADERS = 128
# Reading stops while more than this of a body waits for us.
READ_BUFFER_BYTES = 65_536
# Larger requests are written in pieces, as the server takes them.
WRITE_PIECE_BYTES = 65_536
# What may follow the end of an answer before its connection is used again.
DRAIN_SECONDS = 0.5
DRAIN_BYTES = 65_536


class Response:
    """A response whose body is read as it comes; also what the parser calls while it reads."""

    def __init__(self, connection: Connection) -> None:
        # Zero until the response begins.
        self.status = 0
        self._connection = connection
        self._pieces: list[bytes] = []
        # Called by the parser; one answer comes in hundreds of pieces.
        self.on_body = self._pieces.append
        self._parser = HttpResponseParser(self)
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._body = bytearray()
        self._failure: type[EngineError] | None = None
        self._is_heard = self._is_framed = self._is_complete = self._is_left = False
        self._is_request_sent = self._keeps_alive = False
        self._headers = self._header_bytes = 0
        # Head or framing since the response's last piece.
        self._overhead_bytes = 0
        connection.response = self

    async def begin(self, head: bytes, body: bytes) -> None:
        """Send a request and wait for the response to begin; to be called once, to GET or POST.

        Raises EngineUnavailable where the connection closed without a byte, otherwise EngineFailed.
        """
        if self._connection.is_closed:
            raise EngineUnavailable
        self._is_request_sent = await self._send(head, body)
        while not self.status and not self._failure:
            await self._wait()
        if self._failure and not self.status:
            raise self._failure

    async def receive(self) -> bytes:
        """Return what arrived since the last call, waiting if that is nothing; empty at the end of the body."""
        while not self._body:
            if self._failure:
                raise self._failure
            if self._is_complete:
                return b""
            await self._wait()
        received = bytes(self._body)
        self._body.clear()
        if not self._is_left:
            self._connection.resume()
        return received

    async def read(self, limit: int) -> bytes:
        """Return the whole body. Raises EngineFailed where it is longer than ``limit`` bytes."""
        body = bytearray()
        while received := await self.receive():
            body += received
            if len(body) > limit:
                raise EngineFailed
        return bytes(body)

    async def drain(self) -> None:
        """Read what follows the end of an answer, within bounds, so that the connection can be used again."""
        if self._is_complete:
            return
        left = DRAIN_BYTES
        # A connection that cannot be drained is closed instead; the answer itself is complete.
        with suppress(TimeoutError, EngineError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while left > 0 and (received := await self.receive()):
                    left -= len(received)

    def expire(self) -> None:
        """Close the connection; whoever reads from it gets EngineTimeout."""
        self._fail(EngineTimeout)

    def leave(self) -> None:
        """Give the connection back to the pool if the body came to its end; close it at once otherwise."""
        if self._is_left:
            return
        self._is_left = True
        self._connection.leave(is_reusable=self._is_complete and self._is_request_sent and self._keeps_alive)
        self._fail(EngineFailed)
        # It holds on to this object in turn.
        del self._parser

    def feed(self, data: bytes) -> None:
        """Take bytes from the connection."""
        if self._failure:
            return
        self._is_heard = True
        self._overhead_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            # Behind a whole response it says nothing about this one.
            self._fail(EngineFailed)
            self._connection.abort()
        if self._pieces:
            self._take_pieces()
        elif self._overhead_bytes > MAX_HEAD_BYTES:
            self._fail(EngineFailed)
        self.wake()

    def lost(self, error: Exception | None) -> None:
        """Take note that the connection closed: for a body without a length, that is its end."""
        if self.status and not self._is_framed and not error and not self._failure:
            self._is_complete = True
            self.wake()
        self._fail(EngineFailed if self._is_heard else EngineUnavailable)

    def wake(self) -> None:
        """Have the waiting task look again."""
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

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

    def _take_pieces(self) -> None:
        self._overhead_bytes = 0
        self._body += b"".join(self._pieces)
        self._pieces.clear()
        if len(self._body) > READ_BUFFER_BYTES:
            self._connection.pause()

    async def _send(self, head: bytes, body: bytes) -> bool:
        """Write the request as the server takes it; whether it took all before it answered."""
        if len(body) <= WRITE_PIECE_BYTES:
            self._connection.write(head + body)
            return True
        self._connection.write(head)
        view = memoryview(body)
        for start in range(0, len(body), WRITE_PIECE_BYTES):
            while self._connection.is_full and not (self.status or self._failure):
                await self._wait()
            if self.status or self._failure:
                return False
            self._connection.write(view[start : start + WRITE_PIECE_BYTES])
        return True

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _fail(self, failure: type[EngineError]) -> None:
        """End a response that is not complete, or failed already, and close its connection."""
        if self._is_complete or self._failure:
            return
        self._failure = failure
        self._connection.abort()
        self.wake()
