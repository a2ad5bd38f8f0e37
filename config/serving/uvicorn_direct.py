"""The addresses that make tokens, answered on uvicorn's connections without ASGI in between.

uvicorn's protocol parses the request and keeps its order among pipelined ones; instead of a task that runs the
application, the request gets an exchange that writes to the transport itself. What ASGI middleware does for these
addresses elsewhere (``web.edge``, ``api.middleware``) is done here in a few lines, or the request goes the usual way.
"""

import asyncio
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol

from django.conf import settings

from api.chat.completions import ChatCompletions
from api.messages.handlers import Messages
from api.responses.handlers import Responses
from config.serving import refusals
from core.ids import new_run_id, request_id
from inference import metrics
from inference.runtime import Runtime
from web.errors import Problem
from web.exchange import Exchange, Handler
from web.request_log import RequestLine

Headers = Sequence[tuple[bytes, bytes]]

HANDLERS: Final[dict[bytes, Handler]] = {
    b"/v1/chat/completions": ChatCompletions.answer,
    b"/v1/messages": Messages.answer,
    b"/v1/responses": Responses.answer,
}
# Headers by which a request needs more than is done here.
_UNUSUAL: Final = frozenset([b"expect", b"upgrade", b"x-api-key"])
_STATUS_LINES: Final = {status: f"HTTP/1.1 {status} {status.phrase}\r\n".encode() for status in HTTPStatus}
_NOBODY: Final = asyncio.Event()


class Connection(Protocol):
    """uvicorn's side of a connection, as an exchange needs it."""

    flow: Any
    parser: Any
    server_state: Any
    # Those of all connections that are under way.
    exchanges: "set[DirectExchange]"
    transport: asyncio.Transport

    def direct_ended(self, exchange: "DirectExchange") -> None:
        """Go on: the exchange is over."""


class DirectExchange(Exchange):
    """One request, in the place of uvicorn's own cycle of request and response."""

    __slots__ = (
        "_began_at",
        "_handler",
        "_head",
        "_is_chunked",
        "_protocol",
        "_status",
        "body",
        "disconnected",
        "keep_alive",
        "more_body",
        "response_complete",
        "response_started",
    )

    # Set by uvicorn when its application should look at the cycle again.
    message_event = _NOBODY

    def __init__(self, protocol: Connection, runtime: Runtime, path: bytes, headers: Headers) -> None:
        text = path.decode()
        super().__init__(runtime, RequestLine(new_run_id(), "POST", text), method="POST", path=text, headers=headers)
        self._protocol = protocol
        self._handler = HANDLERS[path]
        self._began_at = time.perf_counter()
        self._head = b""
        self._status: int | None = None
        self._is_chunked = False
        # Of uvicorn's cycle.
        self.body = bytearray()
        self.more_body = True
        self.keep_alive = protocol.parser.should_keep_alive()
        self.disconnected = self.response_started = self.response_complete = False

    def start(self) -> None:
        """Answer; the request is whole, and its turn has come."""
        if self._protocol.flow.write_paused:
            # The client has not taken the answer before yet.
            self.pause_writing()
        self._handler(self, bytes(self.body))

    def begin(self, status: int, content_type: str, headers: dict[str, str]) -> None:
        """Make the head, which goes out with the first piece of the body."""
        self.is_begun = self.response_started = True
        self._status = status
        self._is_chunked = "content-length" not in headers
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        if self._is_chunked:
            lines.append("transfer-encoding: chunked\r\n")
        if not self.keep_alive:
            lines.append("connection: close\r\n")
        took_ms = int((time.perf_counter() - self._began_at) * 1_000)
        self._head = (
            b"%b%bcontent-type: %b\r\ncache-control: no-store\r\nx-request-id: %b\r\nopenai-processing-ms: %d\r\n%b\r\n"
            % (
                _STATUS_LINES[status],  # type: ignore[index]
                b"".join([b"%b: %b\r\n" % header for header in self._protocol.server_state.default_headers]),
                content_type.encode(),
                request_id(self.request_id).encode(),
                took_ms,
                "".join(lines).encode("latin-1", "replace"),
            )
        )

    def write(self, data: bytes) -> None:
        """Write a piece."""
        head, self._head = self._head, b""
        self._protocol.transport.write(b"%b%x\r\n%b\r\n" % (head, len(data), data))

    def finish(self, data: bytes = b"") -> None:
        """Write the last piece, and let the connection go on."""
        head, self._head = self._head, b""
        if self._is_chunked:
            data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else b"0\r\n\r\n"
        self._protocol.transport.write(head + data)
        self.is_over = self.response_complete = True
        self._end()
        if not self.keep_alive:
            self._protocol.transport.close()
        self._protocol.direct_ended(self)

    def abort(self) -> None:
        """Cut the connection."""
        self._protocol.transport.abort()

    def lose(self) -> None:
        """The client is gone."""
        if not self.is_over:
            super().lose()
            self._end()

    def refuse(self, problem: Problem) -> bytes | None:
        """End, as if the client were gone; return what the connection tells it instead, if it was told nothing yet."""
        if self.is_over:
            return None
        self.line.error, self._status = problem.code, problem.status
        self.lose()
        return refusals.raw_response(problem, self.request_id)

    def _end(self) -> None:
        self.runtime.deadlines.forget(self)
        self._protocol.exchanges.discard(self)
        self.line.end(self._status)
        metrics.responded("v1", self.line.status)


def is_direct(url: bytes, headers: Headers) -> bool:
    """Whether a POST to such an address, with such headers, can be answered here."""
    if url not in HANDLERS:
        return False
    names = {name for name, _ in headers}
    return names.isdisjoint(_UNUSUAL) and not (settings.CORS_ORIGINS and b"origin" in names)
