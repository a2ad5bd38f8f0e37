"""HTTP as Daphne speaks it, with backpressure in both directions, early refusals, and ``Intake``'s bounds.

Daphne by itself hands a request over when its whole body is there. Here the application begins with the head, so that
it may refuse a body before it is sent. Method names and life cycle are Twisted's (``twisted.web.http.HTTPChannel`` and
``Request``).
"""

import asyncio
import re
from io import BytesIO
from typing import Any, Final
from urllib.parse import unquote

from daphne.http_protocol import HEADER_NAME_RE, WebRequest
from django.conf import settings
from twisted.python.failure import Failure
from twisted.web import http

from config.serving import limits, refusals
from config.serving.connections import Connection
from config.serving.daphne_transport import Transport
from config.serving.intake import Intake
from config.serving.limits import Refused
from web.errors import Problem

# All but the tab, as in llhttp.
CONTROL_CHARACTERS: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class Body:
    """The body of a request as its application reads it, and the end of its connection."""

    def __init__(self, channel: "Channel", *, wants_continue: bool) -> None:
        self._channel = channel
        self._wants_continue = wants_continue
        self._bytes = bytearray()
        self._changed = asyncio.Event()
        self._is_taken = False
        self._is_gone = False
        self.is_whole = False

    def add(self, data: bytes) -> None:
        """Keep a piece; read no more while the application is behind."""
        self._bytes += data
        if len(self._bytes) > limits.BACKLOG_BYTES:
            self._channel.connection.pause_reading()
        self._changed.set()

    def end(self) -> None:
        """Note that this is all."""
        self.is_whole = True
        self._changed.set()

    def put_nowait(self, message: dict[str, Any]) -> None:
        """Note that the exchange is over: all that Daphne itself puts here is ``http.disconnect``."""
        self._is_gone = True
        self._changed.set()

    async def get(self) -> dict[str, Any]:
        """Return the next event for the application."""
        if self._wants_continue and not self._is_gone:
            self._wants_continue = False
            self._channel.send_continue()
        while not (self._is_gone or self._bytes or (self.is_whole and not self._is_taken)):
            self._channel.connection.resume_reading()
            self._changed.clear()
            await self._changed.wait()
        if self._is_gone:
            return {"type": "http.disconnect"}
        piece, self._bytes = bytes(self._bytes), bytearray()
        self._is_taken = self.is_whole
        self._channel.connection.resume_reading()
        return {"type": "http.request", "body": piece, "more_body": not self.is_whole}


class Request(WebRequest):
    """One HTTP request, whose application starts with its head."""

    body: Body | None = None
    channel: "Channel | None"

    def __init__(self, channel: "Channel", queued: object = False) -> None:
        # Django parses forms; Twisted would do it a first time, for nothing.
        super().__init__(channel, queued, parsePOSTFormSubmission=False)
        self.writable = channel.writable

    def gotLength(self, length: int | None) -> None:
        """Have no room for the body here, where Twisted keeps it."""
        self.content = BytesIO()

    def begin(self, method: bytes, uri: bytes, version: bytes) -> None:
        """Start the application, or wait for the end of an empty body, if this is to be a WebSocket. Raises Refused."""
        assert self.channel is not None
        self._check_names()
        if self._is_upgrade:
            if self.channel.length != 0:
                raise Refused(limits.bad_request("A request for a WebSocket has no body."))
            return
        self.method, self.uri, self.clientproto = method, uri, version
        self.path, _, self.query_string = uri.partition(b"?")
        self.client, self.host = self.channel.getPeer(), self.channel.getHost()
        self.client_addr, self.server_addr = [self.client.host, self.client.port], [self.host.host, self.host.port]
        self.body = Body(self.channel, wants_continue=self.channel.takes_continue())
        self.application_queue = self.server.create_application(self, self._scope())

    def handleContentChunk(self, data: bytes) -> None:
        """Hand a piece of the body on. Raises Refused."""
        assert self.channel is not None
        self.channel.take_body(len(data))
        if self.body:
            self.body.add(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The request is whole."""
        if self.body:
            self.body.end()
            return
        connection = self.channel.connection if self.channel else None
        super().requestReceived(command, path, version)
        if connection:
            # Daphne resumes reading, which waits until the application accepts the WebSocket.
            connection.settle_reading()

    def handle_reply(self, message: dict[str, Any]) -> None:
        """Write what the application sends. An answer to a body that is still being sent is the connection's last."""
        super().handle_reply(message)
        if message["type"] == "http.response.start" and self.body and not self.body.is_whole:
            _announce_close(self)

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """Answer in the shape of every other error; an answer already begun is cut instead."""
        if self._response_started:
            self.cut()
            return
        error = limits.server_error() if status >= 500 else limits.bad_request(body)
        headers, content = refusals.response(error)
        self.handle_reply({"type": "http.response.start", "status": error.status, "headers": headers})
        self.handle_reply({"type": "http.response.body", "body": content})

    def application_ended(self, failed: bool) -> None:
        """Leave no connection open that nobody will answer."""
        if not (self.finished or self._disconnected or self.channel is None):
            self.basic_error(500, b"", "")

    def abandon(self) -> None:
        """Have the application hear that the exchange is over; what it still sends goes nowhere."""
        if self.body:
            self.body.put_nowait({"type": "http.disconnect"})
            self.server.protocol_disconnected(self)

    def cut(self) -> None:
        """Drop the connection without an ending, so that the client sees that the answer is not whole."""
        if self.channel is not None:
            self.channel.transport.abortConnection()

    @property
    def _is_upgrade(self) -> bool:
        upgrades = self.requestHeaders.getRawHeaders(b"Upgrade", [b""])
        return bool(upgrades[0].lower() == b"websocket")

    @property
    def lower_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that have come, with their names in lower case."""
        return [(name.lower(), value) for name, values in self.requestHeaders.getAllRawHeaders() for value in values]

    def _check_names(self) -> None:
        """Refuse headers that no application should have to think about."""
        for name, values in self.requestHeaders.getAllRawHeaders():
            if not HEADER_NAME_RE.fullmatch(name):
                raise Refused(limits.bad_request("The name of a header is not valid."))
            if any(CONTROL_CHARACTERS.search(value) for value in values):
                raise Refused(limits.bad_request("The value of a header is not valid."))

    def _scope(self) -> dict[str, Any]:
        if not self.uri.isascii():
            raise Refused(limits.bad_request("The address is not ASCII."))
        return {
            "type": "http",
            "http_version": self.clientproto.removeprefix(b"HTTP/").decode(),
            "method": self.method.decode(),
            "path": unquote(self.path.decode()),
            "raw_path": self.path,
            "root_path": "",
            "scheme": "http",
            "query_string": self.query_string,
            # One with an underscore would look like another with a hyphen to Django.
            "headers": [(name, value) for name, value in self.lower_headers if b"_" not in name],
            "client": self.client_addr,
            "server": self.server_addr,
        }


class Channel(http.HTTPChannel):
    """One HTTP connection, as ``Intake`` allows it."""

    is_socket = False
    maxHeaders = limits.HEADERS
    totalHeadersSize = limits.HEAD_BYTES
    requestFactory: Any = Request
    factory: Any
    transport: Any
    connection: Connection
    _intake: Intake
    # Bytes that completed neither a head nor a piece of a body so far.
    _unparsed_bytes = 0
    _is_between_requests = True
    _wants_continue = False
    _is_draining = False
    # What the head already said that cannot be.
    _refusal: Refused | None = None

    def __init__(self) -> None:
        super().__init__()
        # Clear while more than 64 KiB wait to be written.
        self.writable = asyncio.Event()
        self.writable.set()

    def connectionMade(self) -> None:
        """Take the connection in: from here on it has its deadlines."""
        super().connectionMade()
        clients = self.factory.server.clients
        host = self.transport.getPeer().host
        self.connection = clients.open(self, self.transport, Transport(self.transport), host)
        self._intake = Intake(self.connection)

    def dataReceived(self, data: bytes) -> None:
        """Parse what comes; what a refused client sends is thrown away."""
        if self.connection.is_refused:
            self.connection.discard(len(data))
            return
        if self._is_between_requests:
            self._is_between_requests = False
            self._intake.begin()
        self._unparsed_bytes += len(data)
        try:
            super().dataReceived(data)
            if self._unparsed_bytes:
                # What waits for the answer before it is bounded by Twisted.
                self._intake.take_unparsed(len(data), 0 if self._handlingRequest else self._unparsed_bytes)
        except Refused as refused:
            self._refuse(refused)

    def headerReceived(self, line: bytes) -> bool:
        """Take a header, but for a length that Twisted would break down over. Raises Refused."""
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            try:
                limits.body_length([value.strip(b" \t")])
            except Refused as refused:
                # Once the rest of the head has told whose request it is.
                self._refusal = self._refusal or refused
                return True
        return bool(super().headerReceived(line))

    def allHeadersReceived(self) -> None:
        """The body is next, and the application may begin. Raises Refused."""
        self._unparsed_bytes = 0
        if self._refusal:
            raise self._refusal
        self._intake.complete_head([])
        super().allHeadersReceived()
        self.requests[-1].begin(self._command, self._path, self._version)

    def take_body(self, size: int) -> None:
        """Count a piece of the body. Raises Refused."""
        self._unparsed_bytes = 0
        decoder: Any = self._transferDecoder
        # What is to come of a chunk is known before it comes.
        is_within_chunk = getattr(decoder, "state", "") == "BODY"
        self._intake.take_body(size, decoder.length if is_within_chunk else 0)

    def allContentReceived(self) -> None:
        """The request is whole: now it is our turn."""
        self._unparsed_bytes = 0
        self.connection.expect_within(None)
        super().allContentReceived()

    def requestDone(self, request: Request) -> None:
        """Wait for the next request, or for the client to take the last bytes, but not for ever."""
        if request.body and not request.body.is_whole:
            self.requests.remove(request)
            self.connection.refuse(None)
            return
        self._is_between_requests = True
        self.connection.rest()
        if not self.persistent:
            self.connection.expect_within(settings.LINGER_SECONDS)
        super().requestDone(request)

    def shut_down(self) -> None:
        """The server ends: close, but let the answer under way finish."""
        self._is_draining = True
        self.persistent = False
        for request in self.requests:
            _announce_close(request)
        if not self.requests:
            self.loseConnection()

    def checkPersistence(self, request: http.Request, version: bytes) -> bool:
        """Close after this answer, if the server ends."""
        if self._is_draining:
            _announce_close(request)
            return False
        return bool(super().checkPersistence(request, version))

    def takes_continue(self) -> bool:
        """Whether the client waits for a word before it sends the body; asked once."""
        wants, self._wants_continue = self._wants_continue, False
        return wants

    def send_continue(self) -> None:
        """Have the client send the body."""
        self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a header line without an end. Raises Refused."""
        raise Refused(limits.bad_request("A header line is too long."))

    def pauseProducing(self) -> None:
        """Twisted: too much waits to be written."""
        self.writable.clear()
        super().pauseProducing()
        self.connection.pause_writing()

    def resumeProducing(self) -> None:
        """Twisted: everything is written."""
        super().resumeProducing()
        self.connection.resume_writing()
        self.writable.set()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Let a waiting application go on, to its ``http.disconnect``."""
        self.factory.server.clients.close(self.connection)
        self.writable.set()
        super().connectionLost(reason)

    def _refuse(self, refusal: Refused) -> None:
        """Answer without the application, and hang up."""
        request: Request | None = self.requests[-1] if self.requests else None
        if request and request._response_started:
            request.cut()
            return
        if request:
            request.abandon()
        self.clearLineBuffer()
        self.connection.refuse(self._answer(request, refusal.problem), is_costly=refusal.is_costly)

    def _answer(self, request: Request | None, problem: Problem) -> bytes:
        """Return what a client is told; where the application has the request, that has a line in the log already."""
        if request and request.body:
            return refusals.raw_response(problem)
        # Twisted has them from a request's first line until it is whole.
        method, address = getattr(self, "_command", b""), getattr(self, "_path", b"")
        return refusals.Unheard(method, address, request.lower_headers if request else ()).response(problem)

    def _send100Continue(self) -> None:
        self._wants_continue = True

    def _respondToBadRequestAndDisconnect(self) -> None:
        raise Refused(limits.bad_request("The request is not valid HTTP, or its headers are too large."))


def _announce_close(request: http.Request) -> None:
    """Say so in the head of an answer, if that is not sent yet."""
    request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
