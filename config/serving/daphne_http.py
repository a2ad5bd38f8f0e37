"""HTTP as Daphne speaks it, with backpressure, early refusals, and a deadline whenever it is the client's turn.

Method names and life cycle are Twisted's (``twisted.web.http.HTTPChannel`` and ``Request``).
"""

import asyncio
from collections.abc import Callable
from io import BytesIO
from typing import Any

from daphne.http_protocol import WebRequest
from django.conf import settings
from twisted.python.failure import Failure
from twisted.web import http

from config.serving import limits
from web.errors import Problem


class Request(WebRequest):
    """One HTTP request, whose body is counted while it arrives."""

    def __init__(self, channel: "Channel", queued: object = False) -> None:
        # Django parses forms; Twisted would do it a first time, for nothing.
        super().__init__(channel, queued, parsePOSTFormSubmission=False)
        self.writable = channel.writable

    def gotLength(self, length: int | None) -> None:
        """Keep the body in memory: MAX_BODY_BYTES is all that it can be."""
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a piece of the body, unless it is one too many."""
        if self.channel.refused:
            return
        if self.content.tell() + len(data) > settings.MAX_BODY_BYTES:
            self.channel.refuse(limits.too_large())
        else:
            self.content.write(data)

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """Answer in the shape of every other error; an answer already begun is cut instead."""
        if self._response_started:
            self.cut()
            return
        error = limits.server_error() if status >= 500 else limits.bad_request(body)
        headers, content = limits.response(error)
        self.handle_reply({"type": "http.response.start", "status": error.status, "headers": headers})
        self.handle_reply({"type": "http.response.body", "body": content})

    def application_ended(self, failed: bool) -> None:
        """Leave no connection open that nobody will answer."""
        if self.finished or self._disconnected or self.channel is None:
            return
        self.basic_error(500, b"", "")

    def cut(self) -> None:
        """Drop the connection without an ending, so that the client sees that the answer is not whole."""
        if self.channel is not None:
            self.channel.transport.abortConnection()


class Channel(http.HTTPChannel):
    """One HTTP connection, with a deadline at every moment that the client has to do something."""

    maxHeaders = limits.HEADERS
    totalHeadersSize = limits.HEAD_BYTES
    requestFactory: Any = Request
    factory: Any
    transport: Any
    setTimeout: Callable[[float | None], Any]
    refused = False
    _is_idle = False
    _is_leaving = False

    def __init__(self) -> None:
        super().__init__()
        # Clear while more than 64 KiB wait to be written.
        self.writable = asyncio.Event()
        self.writable.set()

    def connectionMade(self) -> None:
        """Begin to count: a connection that says nothing is cut."""
        super().connectionMade()
        self.factory.server.channels[self.transport] = self
        self.setTimeout(settings.REQUEST_HEAD_SECONDS)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes in; those of a refused request go nowhere."""
        if not self.refused:
            super().dataReceived(data)

    def resetTimeout(self) -> None:
        """Start the clock of a request with its first byte; later bytes do not buy more time."""
        if self._is_idle:
            self._is_idle = False
            self.setTimeout(settings.REQUEST_HEAD_SECONDS)

    def allHeadersReceived(self) -> None:
        """Refuse a body that says it will be too large, before the first byte of it."""
        self._is_idle = False
        if self.length is not None and self.length > settings.MAX_BODY_BYTES:
            self.refuse(limits.too_large())
            return
        super().allHeadersReceived()
        self.setTimeout(settings.REQUEST_BODY_SECONDS)

    def allContentReceived(self) -> None:
        """Hand a whole request to the application."""
        if not self.refused:
            super().allContentReceived()

    def requestDone(self, request: http.Request) -> None:
        """Wait for the next request, or for the client to take the last bytes, but not for ever."""
        self._is_idle = True
        self._savedTimeOut = settings.KEEP_ALIVE_SECONDS if self.persistent else None
        if not self.persistent:
            self.setTimeout(settings.LINGER_SECONDS)
        super().requestDone(request)

    def leave(self) -> None:
        """The server ends: close, but let the answer under way finish."""
        self._is_leaving = True
        self.persistent = False
        for request in self.requests:
            _announce_close(request)
        if not self.requests:
            self.loseConnection()

    def checkPersistence(self, request: http.Request, version: bytes) -> bool:
        """Close after this answer, if the server ends."""
        if self._is_leaving:
            _announce_close(request)
            return False
        return bool(super().checkPersistence(request, version))

    def refuse(self, error: Problem) -> None:
        """Answer without asking the application, and hang up.

        What the client still sends is thrown away for LINGER_SECONDS: a reset would make it lose the answer.
        """
        self.refused = True
        self.clearLineBuffer()
        self.transport.write(limits.raw_response(error))
        self.transport.loseWriteConnection()
        self.setTimeout(settings.LINGER_SECONDS)

    def timeoutConnection(self) -> None:
        """Cut: whoever is late will not wait for a polite ending either."""
        self.transport.abortConnection()

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a header line without an end."""
        self.refuse(limits.bad_request("A header line is too long."))

    def pauseProducing(self) -> None:
        """Twisted: too much waits to be written."""
        self.writable.clear()
        super().pauseProducing()

    def resumeProducing(self) -> None:
        """Twisted: everything is written."""
        super().resumeProducing()
        self.writable.set()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Let a waiting application go on, to its ``http.disconnect``."""
        self.factory.server.channels.pop(self.transport, None)
        self.writable.set()
        super().connectionLost(reason)

    def _send100Continue(self) -> None:
        if not self.refused:
            super()._send100Continue()

    def _respondToBadRequestAndDisconnect(self) -> None:
        self.refuse(limits.bad_request("The request is not valid HTTP, or its headers are too large."))


def _announce_close(request: http.Request) -> None:
    """Say so in the head of an answer, if that is not sent yet."""
    request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
