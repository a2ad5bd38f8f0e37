"""Twisted's transports in asyncio's words."""

from typing import Any


class Transport:
    """One of Twisted's TCP transports, for ``connections.Connection``."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.write = transport.write
        self.write_eof = transport.loseWriteConnection
        self.close = transport.loseConnection
        self.abort = transport.abortConnection
        self.pause_reading = transport.pauseProducing
        self.resume_reading = transport.resumeProducing

    def is_closing(self) -> bool:
        """Whether it is closed, or will be when everything is written."""
        return not self._transport.connected or self._transport.disconnecting

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be written."""
        waiting: int = len(self._transport.dataBuffer) - self._transport.offset + self._transport._tempDataLen
        return waiting
