"""The pooled HTTP/1.1 client that every engine is called through, on httptools: see docs/decisions.

Redirects, proxies of the environment and cookies are never followed, read or kept. Failures become EngineUnavailable
(no answer began), EngineFailed (it broke off) or EngineTimeout; a cancelled caller closes its connection at once.
"""

import asyncio
import re
import string
from collections.abc import AsyncGenerator, Mapping
from functools import lru_cache
from types import TracebackType
from urllib.parse import quote, urlsplit

from inference.errors import EngineTimeout, EngineUnavailable
from inference.transport.connection import Connection, Origin, Pool
from inference.transport.response import Response
from inference.transport.watchdog import Watchdog

__all__ = ["Response", "close", "fetch", "request"]

_pools: dict[asyncio.AbstractEventLoop, Pool] = {}
_keepers: dict[asyncio.AbstractEventLoop, AsyncGenerator[None, None]] = {}

_PORTS = {"http": 80, "https": 443}
_OWN_HEADERS = ("User-Agent: Parley", "Accept: */*", "Accept-Encoding: identity")

# Nothing that could end a line and begin another.
_NAME = re.compile(r"[A-Za-z0-9-]+")
_VALUE = re.compile(r"[\t -~\x80-\xff]*")
_AUTHORITY = re.compile(r"[A-Za-z0-9._~:\[\]%-]+")


class request:  # noqa: N801 - read at the call as a verb, like the context managers of contextlib
    """``async with request(…) as response``: GET or POST and wait up to ``seconds`` for the response to begin."""

    def __init__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None, *, seconds: float
    ) -> None:
        self._method, self._url, self._headers, self._body, self._seconds = method, url, headers, body, seconds
        self._response: Response | None = None

    async def __aenter__(self) -> Response:
        deadline = asyncio.get_running_loop().time() + self._seconds
        origin, head = _head(self._method, self._url, tuple(self._headers.items()))
        head += b"\r\n" if self._body is None else b"Content-Length: %d\r\n\r\n" % len(self._body)
        pool = await _pool()
        if connection := pool.take(origin):
            try:
                return await self._exchange(connection, head, deadline)
            except EngineUnavailable:
                # The server closed a kept connection just now. Nothing was answered, so asking again is safe.
                pass
        try:
            async with asyncio.timeout_at(deadline):
                connection = await pool.connect(origin)
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
                await response.begin(head, self._body or b"")
        except BaseException:
            response.leave()
            raise
        return response


async def fetch(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None = None, *, seconds: float, limit: int
) -> tuple[int, bytes]:
    """Send a request and return the status and the whole body of at most ``limit`` bytes, all within ``seconds``."""
    try:
        async with asyncio.timeout(seconds), request(method, url, headers, body, seconds=seconds) as response:
            return response.status, await response.read(limit)
    except TimeoutError as error:
        raise EngineTimeout from error


async def close() -> None:
    """Close the running loop's connections; the next request opens new ones."""
    if keeper := _keepers.get(asyncio.get_running_loop()):
        await keeper.aclose()


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


async def _pool() -> Pool:
    """Return the running loop's connections."""
    loop = asyncio.get_running_loop()
    pool = _pools.get(loop)
    if pool is None:
        pool = _pools[loop] = Pool(loop)
        keeper = _keepers[loop] = _keep(loop, pool)
        await anext(keeper)
    return pool


async def _keep(loop: asyncio.AbstractEventLoop, pool: Pool) -> AsyncGenerator[None, None]:
    """Close a pool when its loop ends: a loop closes its asynchronous generators before it stops."""
    try:
        yield
    finally:
        del _pools[loop], _keepers[loop]
        await pool.close()
