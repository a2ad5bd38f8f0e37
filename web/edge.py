"""What every HTTP exchange gets, whoever answers it: an id, a body within bounds, and a line in the log."""

from typing import Any

from asgiref.typing import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    HTTPScope,
    Scope,
)
from django.conf import settings

from core import ids
from core.errors import SERVER_ERROR
from inference import metrics
from web.errors import RequestTooLarge, describe, error_body
from web.request_log import RequestLine


class Edge:
    """Gives each ASGI exchange its id, its bound on the body and its line in the log.

    The id is 32 hexadecimal digits in ``scope["request_id"]``, and ``x-request-id: req_…`` on the response. A body
    above MAX_BODY_BYTES is answered with 413: by its declared length before it is read, else once it is read that far.
    """

    def __init__(self, application: ASGI3Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        request_id = ids.new_run_id()
        line = RequestLine(request_id, scope["method"], scope["path"])
        exchange = _Exchange(receive, send, ids.request_id(request_id).encode(), line)
        tagged: Any = {**scope, "request_id": request_id, "request_line": line}
        try:
            if _declared_length(scope) > settings.MAX_BODY_BYTES:
                raise RequestTooLarge
            await self._application(tagged, exchange.receive, exchange.send)
        except Exception as error:
            if exchange.is_started:
                line.error = SERVER_ERROR.code
                raise
            await exchange.fail(error)
        finally:
            line.end(exchange.status)
            metrics.responded("v1" if scope["path"].startswith("/v1/") else "pages", line.status)


class _Exchange:
    """One request and its response."""

    def __init__(
        self, receive: ASGIReceiveCallable, send: ASGISendCallable, request_id: bytes, line: RequestLine
    ) -> None:
        self._receive = receive
        self._send = send
        self._request_id = request_id
        self._line = line
        self._received_bytes = 0
        self._is_refused = False
        # Of the response, once it has begun.
        self.status: int | None = None

    @property
    def is_started(self) -> bool:
        """Whether the status is already sent."""
        return self.status is not None

    async def receive(self) -> ASGIReceiveEvent:
        """Pass the body on; once it is too long, the application sees a client that went away."""
        event = await self._receive()
        if event["type"] == "http.request":
            self._received_bytes += len(event.get("body", b""))
            if self._received_bytes > settings.MAX_BODY_BYTES:
                await self.fail(RequestTooLarge())
                return {"type": "http.disconnect"}
        return event

    async def send(self, event: ASGISendEvent) -> None:
        """Pass the response on, with its id."""
        if self._is_refused:
            return
        if event["type"] == "http.response.start":
            self.status = event["status"]
            event["headers"] = [*event["headers"], (b"x-request-id", self._request_id)]
        await self._send(event)

    async def fail(self, error: Exception) -> None:
        """Answer with an error in the application's place, and close the connection instead of reading the rest."""
        described = describe(error)
        self._line.error = described.code
        body = error_body(described)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        await self.send(
            {"type": "http.response.start", "status": described.status, "headers": headers, "trailers": False}
        )
        await self.send({"type": "http.response.body", "body": body, "more_body": False})
        self._is_refused = True


def _declared_length(scope: HTTPScope) -> int:
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(declared) if declared.isdigit() else 0
