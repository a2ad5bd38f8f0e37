"""WebSockets as Daphne speaks them, with backpressure in both directions.

Method names and life cycle are Autobahn's and Twisted's.
"""

import asyncio

from autobahn.exception import Disconnected
from autobahn.websocket.types import ConnectionDeny
from daphne.ws_protocol import WebSocketProtocol

from config.serving import limits


class WebSocket(WebSocketProtocol):
    """One WebSocket, with backpressure in both directions."""

    _reads_paused = False

    def connectionMade(self) -> None:
        """Take the transport over from the HTTP channel that the upgrade came in on."""
        # Clear while more than 64 KiB wait to be written.
        self.writable = asyncio.Event()
        self.writable.set()
        self.factory.server_class.channels.pop(self.transport, None)
        self.transport.unregisterProducer()
        self.transport.registerProducer(self, True)
        super().connectionMade()

    def pauseProducing(self) -> None:
        """Twisted: too much waits to be written."""
        self.writable.clear()

    def resumeProducing(self) -> None:
        """Twisted: everything is written."""
        self.writable.set()

    def stopProducing(self) -> None:
        """Twisted: the connection is gone."""
        self.writable.set()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Queue a message; read no more while the application is behind."""
        super().onMessage(payload, isBinary)
        if self.application_queue.qsize() >= limits.WEBSOCKET_QUEUE and not self._reads_paused:
            self._reads_paused = True
            self.transport.pauseProducing()

    def message_taken(self) -> None:
        """Read on, once the application has caught up."""
        if self._reads_paused and self.application_queue.empty():
            self._reads_paused = False
            self.transport.resumeProducing()

    def application_ended(self, failed: bool) -> None:
        """Leave no connection open that nobody listens to."""
        if hasattr(self, "handshake_deferred"):
            self.handshake_deferred.errback(ConnectionDeny(code=500, reason="Internal server error"))
            del self.handshake_deferred
        elif self.state == self.STATE_OPEN:
            self.serverClose(1011 if failed else 1000)

    def serverSend(self, content: str | bytes, binary: bool = False) -> None:
        """Send a message. Raises ConnectionError, as ASGI has it, for a client that is gone."""
        try:
            super().serverSend(content, binary)
        except Disconnected as gone:
            raise ConnectionError("the client has gone") from gone

    def serverClose(self, code: int | None = None) -> None:
        """Close with any code that ASGI allows; Autobahn's own method takes 1000 and 3000 upwards only."""
        self.sendCloseFrame(code=code or 1000, isReply=False)

    def leave(self) -> None:
        """The server ends: ask the client to come back later."""
        if self.state == self.STATE_OPEN:
            self.serverClose(1012)
