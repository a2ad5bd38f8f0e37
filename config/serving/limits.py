"""What one connection may take before it is refused, whichever server holds it; and how its client is told.

Deadlines are in the settings.
"""

import json
from http import HTTPStatus

from core import ids
from core.errors import SERVER_ERROR
from web.errors import BadRequest, Problem, RequestTooLarge, describe

# A request's address and headers together, and how many headers.
HEAD_BYTES = 32_768
HEADERS = 100
# Messages from one WebSocket that may wait for the application.
WEBSOCKET_QUEUE = 4


def too_large() -> Problem:
    """Refuse a body of more than MAX_BODY_BYTES."""
    return describe(RequestTooLarge())


def bad_request(reason: str) -> Problem:
    """Refuse what is not HTTP, or too much of it."""
    return describe(BadRequest(reason))


def server_error() -> Problem:
    """Say that the application broke down."""
    return Problem.of(SERVER_ERROR)


def response(error: Problem) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return headers and body of an error that the server itself gives; the connection ends with it."""
    body = json.dumps(error.body).encode()
    headers = [
        (b"Content-Type", b"application/json"),
        (b"Content-Length", str(len(body)).encode()),
        (b"X-Request-Id", ids.request_id(ids.new_run_id()).encode()),
        (b"Connection", b"close"),
    ]
    return headers, body


def raw_response(error: Problem) -> bytes:
    """Return the whole HTTP response to a request that no application hears of."""
    headers, body = response(error)
    status = f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}".encode()
    return b"\r\n".join([status, *(name + b": " + value for name, value in headers), b"", body])
