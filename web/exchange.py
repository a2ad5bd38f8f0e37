"""One HTTP request and its response, as a handler sees them: writes return at once, and callbacks tell of backpressure.

Nothing here waits. ``AsgiExchange`` is the one for every ASGI server; ``config.serving`` has
another for the busiest addresses on uvicorn.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Protocol

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable

from core.eager import run_as_task, run_eagerly
from inference.runtime import Runtime
from web.errors import Problem, describe, error_body
from web.outbox import Outbox
from web.request_log import RequestLine

logger = logging.getLogger(__name__)


class Responder(Protocol):
    """Who answers, as far as it has to hear of its client."""

    def client_left(self) -> None:
        """The connection is gone: nothing that is written reaches anybody."""

    def client_caught_up(self) -> None:
        """What was written is taken, after more had waited than the server wants to keep."""


class Exchange(ABC):
    """One request and its response. ``request_id`` is 32 hexadecimal digits, ``is_full`` says to write no more now."""

    __slots__ = (
        "_deadline",
        "_task",
        "headers",
        "is_begun",
        "is_full",
        "is_over",
        "line",
        "method",
        "path",
        "raw_headers",
        "request_id",
        "responder",
        "runtime",
        "write_problem",
    )

    def __init__(
        self,
        runtime: Runtime,
        line: RequestLine,
        *,
        method: str,
        path: str,
        headers: Sequence[tuple[bytes, bytes]],
    ) -> None:
        self.runtime = runtime
        self.request_id = line.request_id
        self.method = method
        self.path = path
        self.raw_headers = headers
        self.headers = _joined(headers)
        self.line = line
        self.responder: Responder | None = None
        # How a problem is told: its status and its body.
        self.write_problem: Callable[[Problem], tuple[int, bytes]] = _as_openai
        self.is_begun = self.is_full = self.is_over = False
        self._task: asyncio.Task[None] | None = None
        self._deadline = 0.0

    @abstractmethod
    def begin(self, status: int, content_type: str, headers: dict[str, str]) -> None:
        """Send the status and the head; from here on a failure can only be told inside the body."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send a piece of the body, which is not empty."""

    @abstractmethod
    def finish(self, data: bytes = b"") -> None:
        """Send the last of the body."""

    @abstractmethod
    def abort(self) -> None:
        """Cut the connection, so that the client sees that the response is not whole."""

    def count(self, name: bytes) -> int:
        """Return how often a header came."""
        return sum(each == name for each, _ in self.raw_headers)

    def respond(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Send a whole JSON response."""
        self.begin(status, "application/json", {"content-length": str(len(body)), **(headers or {})})
        self.finish(body)

    def fail(self, error: BaseException) -> None:
        """Answer with an error, if the response has not begun; else cut it."""
        if self.is_over:
            return
        if self.is_begun:
            logger.error("request %s broke down", self.request_id, exc_info=error)
            self.line.error = "server_error"
            self.abort()
            return
        problem = describe(error if isinstance(error, Exception) else RuntimeError(str(error)))
        self.line.error = problem.code
        status, body = self.write_problem(problem)
        self.respond(status, body, problem.headers)

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run what answers; it ends when the client leaves, and its errors are the answer."""
        self._task = run_as_task(coroutine, self._ran, self._broke_down)

    def run_eagerly(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run what answers, but at once up to its first wait, as ``core.eager`` says."""
        self._task = run_eagerly(coroutine, self._ran, self._broke_down)

    def lose(self) -> None:
        """The client is gone; called by the server."""
        if self.is_over:
            return
        self.is_over = True
        if self._task:
            self._task.cancel()
        if self.responder:
            self.responder.client_left()

    def pause_writing(self) -> None:
        """More waits to be sent than the server wants to keep; called by the server."""
        self.is_full = True
        self._deadline = self.runtime.loop.time() + self.runtime.limits.reader_seconds
        self.runtime.deadlines.watch(self, within=self.runtime.limits.reader_seconds)

    def resume_writing(self) -> None:
        """The client took what waited; called by the server."""
        self.is_full = False
        self.runtime.deadlines.forget(self)
        if self.responder and not self.is_over:
            self.responder.client_caught_up()

    def check_deadline(self, now: float) -> None:
        """Cut the connection of a client that has taken nothing for READER_SECONDS."""
        if now >= self._deadline:
            self.runtime.deadlines.forget(self)
            logger.warning("request %s was not read", self.request_id)
            self.abort()

    def _ran(self, _: None) -> None:
        self._task = None

    def _broke_down(self, error: BaseException) -> None:
        self._task = None
        if isinstance(error, asyncio.CancelledError) and not self.is_begun:
            # The server ends. It answers, or hangs up, in its own way.
            self.abort()
        else:
            self.fail(error)


Handler = Callable[[Exchange, bytes], None]
Application = Callable[[dict[str, Any], ASGIReceiveCallable, ASGISendCallable], Coroutine[Any, Any, None]]


class AsgiExchange(Exchange):
    """On any ASGI server. ``over`` is done when there is nothing more to be sent, or nobody to send it to."""

    __slots__ = ("_outbox", "over", "scope")

    def __init__(self, scope: dict[str, Any], send: ASGISendCallable) -> None:
        super().__init__(
            Runtime.of(scope),
            scope["request_line"],
            method=scope["method"],
            path=scope["path"],
            headers=scope["headers"],
        )
        self.scope = scope
        self.over: asyncio.Future[None] = self.runtime.loop.create_future()
        self._outbox = Outbox(send, on_full=self.pause_writing, on_drained=self._drained, on_lost=self._not_sent)

    def begin(self, status: int, content_type: str, headers: dict[str, str]) -> None:
        """Send the head."""
        self.is_begun = True
        fields = {"content-type": content_type, **headers}
        encoded = [(name.encode(), value.encode("latin-1", "replace")) for name, value in fields.items()]
        self._outbox.put({"type": "http.response.start", "status": status, "headers": encoded, "trailers": False})

    def write(self, data: bytes) -> None:
        """Send a piece."""
        self._outbox.put({"type": "http.response.body", "body": data, "more_body": True})

    def finish(self, data: bytes = b"") -> None:
        """Send the last piece."""
        self.is_over = True
        self._outbox.put({"type": "http.response.body", "body": data, "more_body": False})
        if self._outbox.is_empty:
            self._end()

    def abort(self) -> None:
        """Leave the response unfinished: the server cuts the connection then."""
        self.lose()

    def lose(self) -> None:
        """The client is gone."""
        super().lose()
        self._end()

    def _drained(self) -> None:
        self.resume_writing()
        if self.is_over:
            self._end()

    def _not_sent(self, error: BaseException) -> None:
        if not isinstance(error, (asyncio.CancelledError, OSError)):
            logger.error("a response could not be sent", exc_info=error)
        self.lose()

    def _end(self) -> None:
        self.runtime.deadlines.forget(self)
        self._outbox.close()
        if not self.over.done():
            self.over.set_result(None)


def serve(handler: Handler) -> Application:
    """Return the ASGI application that has a handler answer each request of these methods.

    Channels' own HTTP consumer joins unbounded bodies, and does not hear ``http.disconnect`` while its handler runs.
    """

    async def application(scope: dict[str, Any], receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        body = await _read_body(receive)
        if body is None:
            return
        exchange = AsgiExchange(scope, send)
        listening = asyncio.create_task(_listen(exchange, receive))
        try:
            handler(exchange, body)
            await exchange.over
        finally:
            listening.cancel()
            exchange.lose()

    return application


async def _listen(exchange: Exchange, receive: ASGIReceiveCallable) -> None:
    """Tell the exchange when its client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
    exchange.lose()


async def _read_body(receive: ASGIReceiveCallable) -> bytes | None:
    """Read the whole body, which the edge keeps within bounds; None if the client went away meanwhile."""
    parts = []
    while True:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _as_openai(problem: Problem) -> tuple[int, bytes]:
    return problem.status, error_body(problem)


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, str]:
    """Return the headers by name; the values of one that came twice are joined, as Django does."""
    joined: dict[bytes, str] = {}
    for name, value in headers:
        text = value.decode("latin-1")
        joined[name] = f"{joined[name]},{text}" if name in joined else text
    return joined
