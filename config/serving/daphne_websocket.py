"""WebSockets as Daphne speaks them, with backpressure in both directions and bounds on what they are sent.

Method names and life cycle are Autobahn's and Twisted's.
"""

import asyncio

from autobahn.exception import Disconnected
from autobahn.websocket.types import ConnectionDeny
from daphne.ws_protocol import WebSocketProtocol
from twisted.python.failure import Failure

from config.serving import limits
from config.serving.connections import Connection

CONTINUATION = 0
POLICY_VIOLATION = 1008


class TooManyFrames(Exception):
    """The client sends more frames than anybody needs."""


class ClientGone(ConnectionError):
    """A message was sent to a client that is not there any more."""


class WebSocket(WebSocketProtocol):
    """One WebSocket."""

    is_socket = True
    connection: Connection

    def connectionMade(self) -> None:
        """Take the connection over from the HTTP channel that the upgrade came in on."""
        # Clear while more than 64 KiB wait to be written.
        self.writable = asyncio.Event()
        self.writable.set()
        self.connection = self.factory.server_class.clients[self.transport]
        self.connection.protocol = self
        self.transport.unregisterProducer()
        self.transport.registerProducer(self, True)
        # Nothing is read before the application has accepted.
        self.connection.pause_reading()
        super().connectionMade()

    def connectionLost(self, reason: Failure) -> None:
        """Forget the connection."""
        self.factory.server_class.clients.close(self.connection)
        super().connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        """Take frames in; what a refused client sends is thrown away."""
        if self.connection.is_refused:
            self.connection.discard(len(data))
            return
        try:
            super().dataReceived(data)
        except TooManyFrames:
            self.data = b""
            self.sendCloseFrame(POLICY_VIOLATION, limits.TOO_MANY_FRAMES.encode())
            self.connection.refuse(None, is_costly=True)

    def onOpen(self) -> None:
        """The application has accepted."""
        super().onOpen()
        self.connection.resume_reading()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Tell the application of the end, if the handshake went so far that there is one."""
        if hasattr(self, "request"):
            super().onClose(wasClean, code, reason)

    def onFrameBegin(self) -> None:
        """Count a frame. Raises TooManyFrames."""
        frame = self.current_frame
        if not self.connection.take_frame(frame.length, continues=frame.opcode == CONTINUATION):
            raise TooManyFrames
        super().onFrameBegin()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Queue a message; read no more while the application is behind."""
        super().onMessage(payload, isBinary)
        if self.application_queue.qsize() >= limits.WEBSOCKET_QUEUE:
            self.connection.pause_reading()

    def message_taken(self) -> None:
        """Read on, once the application has caught up."""
        if self.state == self.STATE_OPEN and self.application_queue.empty():
            self.connection.resume_reading()

    def pauseProducing(self) -> None:
        """Twisted: too much waits to be written."""
        self.writable.clear()
        self.connection.pause_writing()

    def resumeProducing(self) -> None:
        """Twisted: everything is written."""
        self.connection.resume_writing()
        self.writable.set()

    def stopProducing(self) -> None:
        """Twisted: the connection is gone."""
        self.writable.set()

    def application_ended(self, failed: bool) -> None:
        """Leave no connection open that nobody listens to."""
        if hasattr(self, "handshake_deferred"):
            self.handshake_deferred.errback(ConnectionDeny(code=500, reason="Internal server error"))
            del self.handshake_deferred
        elif self.state == self.STATE_OPEN:
            self.serverClose(1011 if failed else 1000)

    def serverSend(self, content: str | bytes, binary: bool = False) -> None:
        """Send a message. Raises ClientGone, which ASGI wants to be an OSError."""
        try:
            super().serverSend(content, binary)
        except Disconnected as gone:
            raise ClientGone from gone

    def serverClose(self, code: int | None = None) -> None:
        """Close with any code that ASGI allows; Autobahn's own method takes 1000 and 3000 upwards only."""
        self.sendCloseFrame(code=code or 1000, isReply=False)

    def shut_down(self) -> None:
        """The server ends: ask the client to come back later."""
        if self.state == self.STATE_OPEN:
            self.serverClose(1012)
