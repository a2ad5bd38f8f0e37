"""The pooled HTTP/1.1 client that every engine is called through, on httptools: see docs/decisions.

Redirects, proxies of the environment and cookies are never followed, read or kept. Failures become EngineUnavailable
(no answer began), EngineFailed (it broke off) or EngineTimeout; a cancelled caller closes its connection at once.
"""

import asyncio
import re
import string
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from functools import lru_cache
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import quote, urlsplit

from inference.errors import EngineTimeout, EngineUnavailable
from inference.transport.connection import Connection, Origin, Pool
from inference.transport.response import Response
from inference.transport.watchdog import Watchdog

__all__ = ["HttpClient", "Request", "Response"]

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

    def send(self, request: Request, *, seconds: float) -> "Sending":
        """``async with client.send(…) as response``: wait up to ``seconds`` for the response to begin."""
        return Sending(self.pool, request, seconds)

    async def fetch(self, request: Request, *, seconds: float, limit: int) -> tuple[int, bytes]:
        """Send a request and return the status and the whole body of at most ``limit`` bytes, within ``seconds``."""
        try:
            async with asyncio.timeout(seconds), self.send(request, seconds=seconds) as response:
                return response.status, await response.read(limit)
        except TimeoutError as error:
            raise EngineTimeout from error

    @property
    def pool(self) -> Pool:
        """The connections; opened when they are first asked for."""
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


class Sending:
    """A request on its way, and its response once that begins; leaving it gives the connection back, or closes it."""

    def __init__(self, pool: Pool, request: Request, seconds: float) -> None:
        self._pool, self._request, self._seconds = pool, request, seconds
        self._response: Response | None = None

    async def __aenter__(self) -> Response:
        deadline = asyncio.get_running_loop().time() + self._seconds
        method, url, headers, body = self._request
        origin, head = _head(method, url, tuple(headers.items()))
        head += b"\r\n" if body is None else b"Content-Length: %d\r\n\r\n" % len(body)
        if connection := self._pool.take(origin):
            try:
                return await self._exchange(connection, head, deadline)
            except EngineUnavailable:
                # The server closed a kept connection just now. Nothing was answered, so asking again is safe.
                pass
        try:
            async with asyncio.timeout_at(deadline):
                connection = await self._pool.connect(origin)
        except TimeoutError as error:
            raise EngineTimeout from error
        return await self._exchange(connection, head, deadline)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._response is not None:
            self._response.leave()

    async def _exchange(self, connection: Connection, head: bytes, deadline: float) -> Response:
        """Send the request and return its response once it begins."""
        self._response = response = Response(connection)
        try:
            with Watchdog(response.expire) as watchdog:
                watchdog.wait(deadline - asyncio.get_running_loop().time())
                await response.begin(head, self._request.body or b"")
        except BaseException:
            response.leave()
            raise
        return response


_clients: dict[asyncio.AbstractEventLoop, HttpClient] = {}
_keepers: dict[asyncio.AbstractEventLoop, AsyncGenerator[None, None]] = {}


def shared() -> HttpClient:
    """Return the running loop's client, which closes with the loop."""
    loop = asyncio.get_running_loop()
    if loop not in _clients:
        _clients[loop] = HttpClient()
        keeper = _keepers[loop] = _keep(loop, _clients[loop])
        # It yields at once; from then on the loop knows it.
        with suppress(StopIteration):
            keeper.asend(None).send(None)
    return _clients[loop]


async def close() -> None:
    """Close the running loop's client; the next request opens new connections."""
    if keeper := _keepers.get(asyncio.get_running_loop()):
        await keeper.aclose()


async def _keep(loop: asyncio.AbstractEventLoop, client: HttpClient) -> AsyncGenerator[None, None]:
    """Close a client when its loop ends: a loop closes its asynchronous generators before it stops."""
    try:
        yield
    finally:
        del _clients[loop], _keepers[loop]
        await client.close()


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
