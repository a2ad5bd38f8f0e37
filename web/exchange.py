"""One HTTP exchange on Channels: a body in, an answer out, and an ear for the client that goes away."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable
from channels.consumer import AsyncConsumer
from django.conf import settings

from inference.runs.spine import ReaderTooSlow
from inference.transport.watchdog import Watchdog
from web.errors import describe, error_body
from web.request_log import RequestLine

logger = logging.getLogger(__name__)


class HttpExchange(AsyncConsumer):
    """Base of consumers that answer one request; a subclass writes ``answer``.

    Channels' own HTTP consumer joins unbounded bodies and does not hear ``http.disconnect`` while its handler runs.
    Here a second task listens for the disconnect while the answer is written: whichever comes first ends the other.
    """

    async def __call__(self, scope: dict[str, Any], receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve one ASGI connection."""
        self.scope = scope
        self.request_id: str = scope["request_id"]
        self.line: RequestLine = scope["request_line"]
        self.base_send = send
        self.started = False
        self._is_gone = self._is_slow = False
        self.headers = _joined(scope["headers"])
        body = await _read_body(receive)
        if body is None:
            return
        answering = asyncio.current_task()
        assert answering is not None
        self._answering = answering
        listening = asyncio.create_task(self._listen(receive))
        try:
            with Watchdog(self._give_up) as self._patience:
                await self._answer(body)
        except asyncio.CancelledError:
            if not self._is_gone:
                raise
        finally:
            listening.cancel()

    async def answer(self, body: bytes) -> None:
        """Answer the request; every exception that leaves before the first byte becomes a true HTTP status."""
        raise NotImplementedError

    async def respond(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Send a whole JSON response."""
        await self.begin(status, "application/json", {"content-length": str(len(body)), **(headers or {})})
        await self.write(body, more=False)

    async def begin(self, status: int, content_type: str, headers: dict[str, str] | None = None) -> None:
        """Send the status and the head; from here on a failure can only be told inside the body."""
        self.started = True
        fields = {"content-type": content_type, **(headers or {})}
        encoded = [(name.encode(), value.encode("latin-1", "replace")) for name, value in fields.items()]
        await self.base_send({"type": "http.response.start", "status": status, "headers": encoded, "trailers": False})

    async def write(self, body: bytes, *, more: bool = True) -> None:
        """Send a piece of the body, waiting for a slow reader. Raises ReaderTooSlow after READER_SECONDS."""
        self._patience.wait(settings.READER_SECONDS)
        try:
            await self.base_send({"type": "http.response.body", "body": body, "more_body": more})
        except asyncio.CancelledError:
            if self._is_slow and self._answering.uncancel() == 0:
                raise ReaderTooSlow from None
            raise
        finally:
            self._patience.rest()

    async def fail(self, error: Exception) -> None:
        """Answer with an error."""
        described = describe(error)
        self.line.error = described.code
        await self.respond(described.status, error_body(described), described.headers)

    async def _listen(self, receive: ASGIReceiveCallable) -> None:
        """End the answer when the client has closed the connection."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._is_gone = True
        self._answering.cancel()

    def _give_up(self) -> None:
        """End the write that takes too long."""
        self._is_slow = True
        self._answering.cancel()

    async def _answer(self, body: bytes) -> None:
        try:
            await self.answer(body)
        except ReaderTooSlow:
            # The server cuts a connection whose answer is left unfinished.
            logger.warning("request %s was not read", self.scope["request_id"])
        except Exception as error:
            if self.started:
                raise
            await self.fail(error)


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, str]:
    """Return the headers by name; the values of one that came twice are joined, as Django does."""
    joined: dict[bytes, str] = {}
    for name, value in headers:
        text = value.decode("latin-1")
        joined[name] = f"{joined[name]},{text}" if name in joined else text
    return joined


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
