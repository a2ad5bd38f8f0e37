"""The pooled HTTP/1.1 client that every engine is called through, on httptools: see docs/decisions.

Redirects, proxies of the environment and cookies are never followed, read or kept. Failures become EngineUnavailable
(no answer began), EngineFailed (it broke off) or EngineTimeout; a cancelled caller closes its connection at once.
"""

import asyncio
import re
import string
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple, Self
from urllib.parse import quote, urlsplit

from inference.errors import EngineError, EngineFailed, EngineTimeout, EngineUnavailable
from inference.transport.call import Call, Receiver
from inference.transport.connection import Origin, Pool

__all__ = ["Call", "HttpClient", "Receiver", "Request"]

_PORTS = {"http": 80, "https": 443}
_OWN_HEADERS = ("User-Agent: Parley", "Accept: */*", "Accept-Encoding: identity")

# Nothing that could end a line and begin another.
_NAME = re.compile(r"[A-Za-z0-9-]+")
_VALUE = re.compile(r"[\t -~\x80-\xff]*")
_AUTHORITY = re.compile(r"[A-Za-z0-9._~:\[\]%-]+")


class Request(NamedTuple):
    """What to ask a server: GET or POST."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None


class HttpClient:
    """Connections to the models' servers, kept between requests; for the event loop on which it is used first."""

    def __init__(self) -> None:
        self._pool: Pool | None = None

    def call(self, request: Request, receiver: Receiver) -> Call:
        """Send a request; what comes of it is told to the receiver. Raises EngineUnavailable for what cannot be sent.

        A kept connection that its server has just closed is replaced by a new one. How long the response may take is
        for the caller to watch, who leaves the call.
        """
        method, url, headers, body = request
        origin, head = _head(method, url, tuple(headers.items()))
        head += b"\r\n" if body is None else b"Content-Length: %d\r\n\r\n" % len(body)
        return Call(self.pool, origin, head, body or b"", receiver)

    async def fetch(self, request: Request, *, seconds: float, limit: int) -> tuple[int, bytes]:
        """Send a request and return the status and the whole body of at most ``limit`` bytes, within ``seconds``."""
        loop = asyncio.get_running_loop()
        fetched = _Fetched(loop.create_future(), limit)
        call = self.call(request, fetched)
        timer = loop.call_later(seconds, fetched.response_failed, EngineTimeout())
        try:
            return await fetched.outcome
        finally:
            timer.cancel()
            call.leave()

    @property
    def pool(self) -> Pool:
        """The connections; there is none before the first is asked for."""
        if self._pool is None:
            self._pool = Pool(asyncio.get_running_loop())
        return self._pool

    async def close(self) -> None:
        """Close every connection, those in use too; the next request opens new ones."""
        pool, self._pool = self._pool, None
        if pool:
            await pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


class _Fetched:
    """A whole response, once it is there."""

    def __init__(self, outcome: "asyncio.Future[tuple[int, bytes]]", limit: int) -> None:
        self.outcome = outcome
        self._limit = limit
        self._status = 0
        self._body = bytearray()

    def response_began(self, status: int) -> None:
        """Note the status."""
        self._status = status

    def body_received(self, data: bytes) -> None:
        """Keep a piece; one too many is a failure."""
        self._body += data
        if len(self._body) > self._limit:
            self.response_failed(EngineFailed())

    def response_ended(self) -> None:
        """Tell it to whoever waits."""
        if not self.outcome.done():
            self.outcome.set_result((self._status, bytes(self._body)))

    def response_failed(self, error: EngineError) -> None:
        """Tell that to whoever waits."""
        if not self.outcome.done():
            self.outcome.set_exception(error)


@lru_cache(maxsize=1024)
def _head(method: str, url: str, headers: tuple[tuple[str, str], ...]) -> tuple[Origin, bytes]:
    """Return whom to connect to and all of a request's head but its end, the same for every request to an engine.

    Raises EngineUnavailable for an address that nothing can be behind, or a header that would not stay on its line.
    """
    origin, authority, path = _parts(url)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {authority}", *_OWN_HEADERS]
    for name, value in headers:
        if not (_NAME.fullmatch(name) and _VALUE.fullmatch(value)):
            raise EngineUnavailable
        lines.append(f"{name}: {value}")
    return origin, "\r\n".join([*lines, ""]).encode("latin-1")


def _parts(url: str) -> tuple[Origin, str, str]:
    """Take a URL apart: its origin, what to call that in the request, and what to ask there."""
    try:
        parts = urlsplit(url)
        # The port is checked here, and the length of the names between the dots.
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port
    except ValueError as error:
        raise EngineUnavailable from error
    authority = f"[{host}]" if ":" in host else host
    if parts.scheme not in _PORTS or "@" in parts.netloc or not _AUTHORITY.fullmatch(authority):
        raise EngineUnavailable
    if port not in (None, _PORTS[parts.scheme]):
        authority += f":{port}"
    asked = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    origin = Origin(host, port or _PORTS[parts.scheme], is_tls=parts.scheme == "https")
    return origin, authority, quote(asked, safe=string.punctuation)
