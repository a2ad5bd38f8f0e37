"""WebSockets as uvicorn speaks them, with bounds on what clients send, and on what waits for them."""

import asyncio
import logging
from typing import Any, cast

from django.conf import settings
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import ProtocolError
from websockets.frames import CloseCode, Frame, Opcode
from websockets.server import ServerProtocol

from config.serving import limits, refusals
from config.serving.connections import Connection, Connections


class WebSocket(WebSocketsSansIOProtocol):
    """One WebSocket."""

    is_socket = True
    connection: Connection

    def __init__(self, *arguments: Any, clients: Connections, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._clients = clients
        self.conn = _Frames(max_size=settings.MAX_BODY_BYTES, logger=logging.getLogger("uvicorn.error"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection over from HTTP."""
        super().connection_made(transport)
        self.connection = cast(_Frames, self.conn).connection = self._clients[transport]
        self.connection.protocol = self

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._clients.close(self.connection)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take the handshake and frames in; what a refused client sends is thrown away."""
        if self.connection.is_refused:
            self.connection.discard(len(data))
            return
        super().data_received(data)
        if self.conn.handshake_exc and not self.handshake_initiated:
            # uvicorn would leave the client without an answer.
            problem = limits.bad_request("The request for a WebSocket is not valid.")
            self.connection.refuse(refusals.raw_response(problem))

    def pause_writing(self) -> None:
        """The client does not read."""
        super().pause_writing()
        self.connection.pause_writing()

    def resume_writing(self) -> None:
        """The client reads."""
        super().resume_writing()
        self.connection.resume_writing()
        self._settle_reading()

    async def receive(self) -> Any:
        """Return the next message for the application."""
        if self.handshake_complete:
            self.connection.expect_within(None)
        message = await super().receive()
        self._settle_reading()
        return message

    def handle_parser_exception(self) -> None:
        """Close for what the client sent, and let it read why."""
        sent = self.conn.close_sent
        if sent is None:
            self.transport.abort()
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": sent.code, "reason": sent.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        # Otherwise the application's end would close the connection at once.
        self.close_timer = self.loop.call_later(settings.LINGER_SECONDS, self.transport.close)
        self.connection.refuse(None, is_costly=isinstance(self.conn.parser_exc, TooManyFrames))

    def _settle_reading(self) -> None:
        """Read nothing while there is any reason not to: uvicorn knows of one, the connection of the others."""
        if self.read_paused and not self.transport.is_closing():
            self.transport.pause_reading()
        self.connection.settle_reading()

    def shut_down(self) -> None:
        """The server ends: ask the client to come back later."""
        self.shutdown()

    def shutdown(self) -> None:
        """Close with 1012, once: uvicorn breaks down over a client that has not taken all of that yet."""
        if not self.transport.is_closing():
            super().shutdown()


class TooManyFrames(ProtocolError):
    """The client sends more frames than anybody needs."""


class _Frames(ServerProtocol):
    """The protocol, which stops at a frame that is one too many."""

    connection: Connection

    def recv_frame(self, frame: Frame) -> None:
        """Take a frame in."""
        if not self.connection.take_frame(len(frame.data), continues=frame.opcode is Opcode.CONT):
            self.fail(CloseCode.POLICY_VIOLATION, limits.TOO_MANY_FRAMES)
            raise TooManyFrames
        super().recv_frame(frame)
