"""How a client is told that its request is refused, where no application hears of it."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote

from api.middleware import UNCACHED, cors_headers
from core import ids
from inference import metrics
from web.errors import Problem, error_body
from web.request_log import RequestLine

# In the log, what was never read of a request.
_UNKNOWN: Final = b"-"


class Unheard:
    """A request that no application hears of: it has an id and a line in the log all the same."""

    def __init__(self, method: bytes, address: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Take what is known of it; the names of ``headers`` are in lower case."""
        self._path = unquote((address.partition(b"?")[0] or _UNKNOWN).decode("latin-1"))
        self._line = RequestLine(ids.new_run_id(), (method or _UNKNOWN).decode("latin-1"), self._path)
        self._headers = headers

    def response(self, problem: Problem) -> bytes:
        """Write the line, and return the response."""
        self._line.error = problem.code
        self._line.end(problem.status)
        metrics.responded("v1" if self._path.startswith("/v1/") else "pages", problem.status)
        return raw_response(problem, self._line.request_id, cors_headers(self._path, self._headers))


def response(problem: Problem, request_id: str = "") -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return headers and body of an error that the server itself gives; the connection ends with it."""
    body = error_body(problem)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        UNCACHED,
        (b"x-request-id", ids.request_id(request_id or ids.new_run_id()).encode()),
        (b"connection", b"close"),
        *((name.encode(), value.encode()) for name, value in problem.headers.items()),
    ]
    return headers, body


def raw_response(problem: Problem, request_id: str = "", more: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
    """Return the whole HTTP response that tells a problem."""
    headers, body = response(problem, request_id)
    status = f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}".encode()
    return b"\r\n".join([status, *(name + b": " + value for name, value in (*headers, *more)), b"", body])
