"""HTTP as uvicorn speaks it, with the deadlines and bounds that it lacks.

uvicorn waits for ever for the rest of a request, reads headers without a limit, parses any number of requests ahead,
takes trailers for headers, and tells only the last of pipelined requests that its client has gone.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from django.conf import settings
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from config.serving import limits, refusals
from config.serving.connections import Connection, Connections, Hold
from config.serving.intake import Intake
from config.serving.limits import Refused
from config.serving.uvicorn_direct import DirectExchange, is_direct
from inference.runtime import Runtime

VERSIONS: Final = ("1.0", "1.1")


class Protocol(HttpToolsProtocol):
    """One HTTP connection, as ``Intake`` allows it."""

    is_socket = False
    connection: Connection
    _intake: Intake
    # Bytes that the parser has kept to itself so far: of a head, of a chunk's, or of trailers.
    _unparsed_bytes = 0
    _is_in_head = False
    # Bytes read since the first of the requests that wait for the one that is being answered.
    _backlog_bytes = 0
    # The request that is being answered; ``cycle`` is the one that was parsed last.
    _answered_cycle: RequestResponseCycle | DirectExchange | None = None
    # Why nothing more is parsed. Its client is told once the answers under way are given.
    _refusal: Refused | None = None

    def __init__(self, *arguments: Any, clients: Connections, exchanges: set[DirectExchange], **named: Any) -> None:
        super().__init__(*arguments, **named)
        # What is refused may never have begun.
        self.url, self.headers = b"", []
        self._clients = clients
        # Those of all connections that are under way.
        self.exchanges = exchanges
        self._runtime: Runtime | None = self.app_state.get("runtime")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection in: from here on it has its deadlines."""
        super().connection_made(transport)
        self.connection = self._clients.open(self, transport, transport, self.client[0] if self.client else "")
        self._intake = Intake(self.connection)
        # The application is only one of those for whom reading is paused.
        self.flow = FlowControl(self.connection)  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the application know, and forget the connection."""
        self._clients.close(self.connection)
        if self._is_answering and (cycle := self._answered_cycle):
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)
        for cycle in {self._answered_cycle, self.cycle, *(cycle for cycle, _ in self.pipeline)}:
            if isinstance(cycle, DirectExchange):
                cycle.lose()

    def data_received(self, data: bytes) -> None:
        """Parse what comes; what a refused client sends is thrown away."""
        if self._refusal or self.connection.is_refused:
            self.connection.discard(len(data))
            return
        self._unparsed_bytes += len(data)
        super().data_received(data)
        if self._unparsed_bytes and not self._refusal:
            try:
                self._intake.take_unparsed(len(data), self._unparsed_bytes)
            except Refused as refused:
                self._refuse(refused)
        if self.pipeline:
            self._backlog_bytes += len(data)
            if self._backlog_bytes > limits.BACKLOG_BYTES:
                self.connection.hold(Hold.BACKLOG)

    def on_message_begin(self) -> None:
        """A request begins. What the application would want to know of it is made once that is asked."""
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._is_in_head = True
        self._intake.begin()

    def on_url(self, url: bytes) -> None:
        """Count the address."""
        self._check(self._intake.take_head, len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header; one behind the body is no header of the request."""
        self._check(self._intake.take_header, len(name) + len(value))
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The body is next; one that says it will be too large is refused before the first byte of it."""
        self._unparsed_bytes = 0
        self._is_in_head = False
        if self.parser.get_http_version() not in VERSIONS:
            self._stop(Refused(limits.bad_request("The version of HTTP is none that is spoken here.")))
        self._check(self._intake.complete_head, [value for name, value in self.headers if name == b"content-length"])
        if self._is_answering:
            if len(self.pipeline) >= limits.PIPELINED_REQUESTS:
                self._stop(Refused(limits.too_many_requests(), is_costly=True))
            if self.parser.should_upgrade() and self._should_upgrade():
                self._stop(Refused(limits.bad_request("A WebSocket cannot begin while a request is answered.")))
        if self._is_direct:
            self._begin_direct()
        else:
            url, headers = self.url, self.headers
            super().on_message_begin()
            self.url = url
            self.headers += headers
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._unparsed_bytes = 0
        self._check(self._intake.take_body, len(body))
        if isinstance(self.cycle, DirectExchange):
            self.cycle.body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole: now it is our turn, unless it has been answered already."""
        self._unparsed_bytes = 0
        super().on_message_complete()
        if self.cycle is not None:
            self.cycle.more_body = False
        if self._is_answering:
            self.connection.expect_within(None)
        else:
            self.connection.rest()
        if self.cycle is self._answered_cycle and isinstance(self.cycle, DirectExchange):
            self.cycle.start()

    def direct_ended(self, exchange: DirectExchange) -> None:
        """Go on as uvicorn does when its application has answered."""
        self.on_response_complete()
        self._ended(exchange)

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._backlog_bytes = 0
            self.connection.release(Hold.BACKLOG)
            if not self.cycle.more_body:
                self.connection.rest()

    def pause_writing(self) -> None:
        """The client does not read."""
        super().pause_writing()
        self.connection.pause_writing()
        if isinstance(self._answered_cycle, DirectExchange):
            self._answered_cycle.pause_writing()

    def resume_writing(self) -> None:
        """The client reads."""
        super().resume_writing()
        self.connection.resume_writing()
        if isinstance(self._answered_cycle, DirectExchange):
            self._answered_cycle.resume_writing()

    def shut_down(self) -> None:
        """The server ends: close, but let the answer under way finish."""
        self.shutdown()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over: the application has REQUEST_HEAD_SECONDS to accept it; then it has pings."""
        self.connection.expect_within(settings.REQUEST_HEAD_SECONDS)
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """Refuse for the reason that a callback of the parser gave, or for what the parser itself cannot read."""
        self._refuse(self._refusal or Refused(limits.bad_request(msg)))

    @property
    def _is_answering(self) -> bool:
        return self._answered_cycle is not None and not self._answered_cycle.response_complete

    @property
    def _is_direct(self) -> bool:
        if self._runtime is None or self.parser.get_method() != b"POST" or self.parser.get_http_version() != "1.1":
            return False
        return is_direct(self.url, self.headers)

    def _begin_direct(self) -> None:
        assert self._runtime
        earlier, self.cycle = self.cycle, DirectExchange(self, self._runtime, self.url, self.headers)  # type: ignore[assignment]
        self.exchanges.add(self.cycle)  # type: ignore[arg-type]
        if earlier is None or earlier.response_complete:
            self._answered_cycle = self.cycle
        else:
            # Pipelined.
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered_cycle = cycle
        if isinstance(cycle, DirectExchange):
            if not cycle.more_body:
                cycle.start()
            return
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        task.add_done_callback(lambda _: self._ended(cycle))
        self.tasks.add(task)

    def _ended(self, cycle: RequestResponseCycle | DirectExchange) -> None:
        """Cut a connection whose answer broke off; one that is being closed has LINGER_SECONDS to take the rest."""
        if self.connection.is_refused:
            return
        if not cycle.response_complete:
            self.transport.abort()
        elif self.transport.is_closing():
            self.connection.expect_within(settings.LINGER_SECONDS)
        elif self._refusal and not self._is_answering:
            self._turn_away(self._refusal)

    def _check(self, take: Callable[[Any], None], what: object) -> None:
        """Have the parser stop at what is too much."""
        try:
            take(what)
        except Refused as refused:
            self._stop(refused)

    def _stop(self, refusal: Refused) -> None:
        self._refusal = refusal
        raise refusal

    def _refuse(self, refusal: Refused) -> None:
        """Answer without the application, and hang up; after the answers under way, if there are any."""
        self._refusal = refusal
        is_in_body = self.cycle is not None and self.cycle.more_body
        if is_in_body and self.cycle is self._answered_cycle:
            self._refuse_rest(refusal)
            return
        if is_in_body:
            # It waits behind others, and will not be answered.
            self.pipeline.popleft()
        if self._is_answering:
            self.connection.hold(Hold.REFUSED)
        else:
            self._turn_away(refusal)

    def _turn_away(self, refusal: Refused) -> None:
        """Answer a request that nobody else will answer, and hang up."""
        method = self.parser.get_method() if self.url else b""
        request = refusals.Unheard(method, self.url, self.headers)
        self.connection.refuse(request.response(refusal.problem), is_costly=refusal.is_costly)

    def _refuse_rest(self, refusal: Refused) -> None:
        """Take no more of a request whose head the application has."""
        cycle = self.cycle
        if cycle.response_started and not cycle.response_complete:
            self.transport.abort()
            return
        cycle.disconnected = True
        answer = None
        if isinstance(cycle, DirectExchange):
            answer = cycle.refuse(refusal.problem)
        elif not cycle.response_complete:
            answer = refusals.raw_response(refusal.problem)
        self.connection.refuse(answer, is_costly=refusal.is_costly)
        cycle.message_event.set()
