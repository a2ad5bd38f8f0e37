"""WebSockets as uvicorn speaks them, with an end that may be asked for twice."""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class WebSocket(WebSocketsSansIOProtocol):
    """One WebSocket."""

    def shutdown(self) -> None:
        """The server ends: ask the client to come back later.

        uvicorn breaks down over a client that was asked before, or is leaving, and has not taken all of it yet.
        """
        if not self.transport.is_closing():
            super().shutdown()
