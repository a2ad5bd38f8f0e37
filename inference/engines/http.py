"""The pooled client that every engine is called through; a thin waist, so that a faster one can take aiohttp's place.

Redirects, proxies of the environment and cookies are never followed, read or kept. Failures become EngineUnavailable
(no answer began), EngineFailed (it broke off) or EngineTimeout; a cancelled caller closes its connection at once.
"""

import asyncio
import io
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from types import TracebackType

import aiohttp
from aiohttp.http import HttpProcessingError

from inference.errors import EngineFailed, EngineTimeout, EngineUnavailable

CONNECT_SECONDS = 5.0
# Above every sum of endpoint concurrencies that one process can serve; admission is what limits requests.
MAX_CONNECTIONS = 10_000
# An unused connection is closed before the servers' own limit (five seconds in uvicorn), so that no request meets it.
IDLE_SECONDS = 4.0
# Reading stops while twice this much of a response waits for us.
READ_BUFFER_BYTES = 65_536
# What may follow the end of an answer before its connection is used again.
DRAIN_SECONDS = 0.5
DRAIN_BYTES = 65_536
# aiohttp wants larger bodies as a file, to write them in pieces.
_BODY_AS_FILE_BYTES = 1_048_576

# aiohttp raises the second kind for a body whose framing is broken.
_BROKEN = (aiohttp.ClientError, HttpProcessingError, OSError)

_sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
_keepers: dict[asyncio.AbstractEventLoop, AsyncGenerator[None, None]] = {}


class Response:
    """A response whose body is read as it comes."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self._response = response
        self._content = response.content
        self._is_expired = False

    async def receive(self) -> bytes:
        """Return what arrived since the last call, waiting if that is nothing; empty at the end of the body."""
        try:
            return await self._content.readany()
        except _BROKEN as error:
            raise EngineTimeout() if self._is_expired else EngineFailed() from error

    async def read(self, limit: int) -> bytes:
        """Return the whole body. Raises EngineFailed where it is longer than ``limit`` bytes."""
        body = bytearray()
        while received := await self.receive():
            body += received
            if len(body) > limit:
                raise EngineFailed
        return bytes(body)

    async def drain(self) -> None:
        """Read what follows the end of an answer, within bounds, so that the connection can be used again."""
        left = DRAIN_BYTES
        # A connection that cannot be drained is closed instead; the answer itself is complete.
        with suppress(TimeoutError, *_BROKEN):
            async with asyncio.timeout(DRAIN_SECONDS):
                while left > 0 and not self._content.at_eof():
                    left -= len(await self._content.readany())

    def expire(self) -> None:
        """Close the connection; whoever reads from it gets EngineTimeout."""
        self._is_expired = True
        self._response.close()

    def leave(self) -> None:
        """Give the connection back to the pool if the body was read to its end; close it at once otherwise."""
        if not self._content.at_eof():
            self._response.close()


class request:  # noqa: N801 - read at the call as a verb, like the context managers of contextlib
    """``async with request(…) as response``: send a request and wait up to ``seconds`` for the response to begin."""

    def __init__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None, *, seconds: float
    ) -> None:
        self._method, self._url, self._headers, self._body, self._seconds = method, url, headers, body, seconds
        self._response: Response | None = None

    async def __aenter__(self) -> Response:
        try:
            async with asyncio.timeout(self._seconds):
                self._response = Response(await self._send())
        except aiohttp.ClientResponseError as error:
            raise EngineFailed from error
        except (aiohttp.ClientError, OSError) as error:
            # A plain TimeoutError is an OSError too; aiohttp's own are for connecting.
            raise EngineTimeout() if type(error) is TimeoutError else EngineUnavailable() from error
        return self._response

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._response is not None:
            self._response.leave()

    async def _send(self) -> aiohttp.ClientResponse:
        session = await _session()
        try:
            return await self._attempt(session)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            # A kept connection that the server closed just now. Nothing was answered, so asking again is safe.
            return await self._attempt(session)

    async def _attempt(self, session: aiohttp.ClientSession) -> aiohttp.ClientResponse:
        body = self._body
        large = body is not None and len(body) > _BODY_AS_FILE_BYTES
        return await session.request(
            self._method,
            self._url,
            headers=self._headers,
            data=io.BytesIO(body) if body and large else body,
            allow_redirects=False,
        )


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


async def _session() -> aiohttp.ClientSession:
    """Return the running loop's session."""
    loop = asyncio.get_running_loop()
    session = _sessions.get(loop)
    if session is None:
        session = _sessions[loop] = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=IDLE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            read_bufsize=READ_BUFFER_BYTES,
            headers={"User-Agent": "Parley", "Accept-Encoding": "identity"},
        )
        keeper = _keepers[loop] = _keep(loop, session)
        await anext(keeper)
    return session


async def _keep(loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession) -> AsyncGenerator[None, None]:
    """Close a session when its loop ends: a loop closes its asynchronous generators before it stops."""
    try:
        yield
    finally:
        del _sessions[loop], _keepers[loop]
        await session.close()
