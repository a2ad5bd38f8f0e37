"""HTTP as uvicorn speaks it, with the deadlines and bounds that it lacks.

uvicorn waits for ever for the rest of a request, reads headers without a limit, keeps a connection that it closed until
the client has taken the last byte, and resets one whose body it does not read, so that the client loses the answer.
"""

import asyncio
from functools import partial
from typing import Any

from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from config.serving import limits
from web.errors import Problem


class Protocol(HttpToolsProtocol):
    """One HTTP connection, with a deadline whenever it is the client's turn."""

    _deadline: asyncio.TimerHandle | None = None
    # Bytes of the present request's head, and bytes that the parser has kept to itself so far.
    _head_bytes = 0
    _unparsed_bytes = 0
    _body_bytes = 0
    _is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to count: a connection that says nothing is cut."""
        super().connection_made(transport)
        self._expect_within(settings.REQUEST_HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._expect_within(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes in; the parser may not hoard more of them than a head is long."""
        if self._is_refused:
            return
        self._unparsed_bytes += len(data)
        super().data_received(data)
        if self._unparsed_bytes > limits.HEAD_BYTES:
            self.send_400_response("The request's headers are too large.")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._head_bytes = 0
        self._body_bytes = 0
        self._expect_within(settings.REQUEST_HEAD_SECONDS)

    def on_url(self, url: bytes) -> None:
        """Count the address."""
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header."""
        self._count(name, value)
        super().on_header(name, value)
        if len(self.headers) > limits.HEADERS:
            raise ValueError("too many headers")

    def on_headers_complete(self) -> None:
        """The body is next; one that says it will be too large is refused before the first byte of it."""
        self._unparsed_bytes = 0
        self._expect_within(settings.REQUEST_BODY_SECONDS)
        is_free = self.cycle is None or self.cycle.response_complete
        if is_free and _declared_length(self.headers) > settings.MAX_BODY_BYTES:
            self._refuse(limits.too_large())
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body, unless it is one too many."""
        self._unparsed_bytes = 0
        self._body_bytes += len(body)
        if self._is_refused:
            return
        if self._body_bytes > settings.MAX_BODY_BYTES and not self.cycle.response_started:
            self.cycle.disconnected = True
            self._refuse(limits.too_large())
            self.cycle.message_event.set()
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole: now it is our turn."""
        self._unparsed_bytes = 0
        if not self._is_refused:
            self._expect_within(None)
            super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over; WebSockets have pings of their own."""
        self._expect_within(None)
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """Refuse in the shape of every other error."""
        self._refuse(limits.bad_request(msg))

    def timeout_keep_alive_handler(self) -> None:
        """Cut a connection that asks for nothing more, even if it has not taken its last answer."""
        self.transport.abort()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        task.add_done_callback(partial(self._answered, cycle))
        self.tasks.add(task)

    def _answered(self, cycle: RequestResponseCycle, task: asyncio.Task[None]) -> None:
        """Cut a connection whose answer broke off; one that is being closed has LINGER_SECONDS to take the rest."""
        if self._is_refused:
            return
        if not cycle.response_complete:
            self.transport.abort()
        elif self.transport.is_closing():
            self._expect_within(settings.LINGER_SECONDS)

    def _refuse(self, error: Problem) -> None:
        """Answer without the application, and hang up; what the client still sends is thrown away for a while."""
        if self._is_refused or self.transport.is_closing():
            return
        self._is_refused = True
        self.flow.resume_reading()
        self.transport.write(limits.raw_response(error))
        self.transport.write_eof()
        self._expect_within(settings.LINGER_SECONDS)

    def _expect_within(self, seconds: float | None) -> None:
        """Cut the connection unless the next step comes in time; None: wait for no step."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)

    def _count(self, *pieces: bytes) -> None:
        """Raise ValueError, which makes the request invalid, once its head is too large."""
        self._head_bytes += sum(map(len, pieces))
        if self._head_bytes > limits.HEAD_BYTES:
            raise ValueError("head too large")


def _declared_length(headers: list[tuple[bytes, bytes]]) -> int:
    declared = next((value for name, value in headers if name == b"content-length"), b"0")
    return int(declared) if declared.isdigit() else 0
