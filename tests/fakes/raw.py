"""A server on a real socket, in the test's own loop, that writes exactly the bytes it is told to."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, Self

Ending = Literal["stay", "close", "reset"]


@dataclass(frozen=True)
class Reply:
    """What comes after a request: these writes, each one read by itself, and then what becomes of the connection."""

    writes: Sequence[bytes] = ()
    then: Ending = "stay"
    # Answer when the head is there, and leave the body unread.
    before_body: bool = False
    # In seconds, from one write to the next.
    between: float = 0.001


@dataclass(eq=False)
class RawServer:
    """Answers its requests with the replies in turn, the last one again and again; once ``open`` is set."""

    replies: Sequence[Reply]
    tls: ssl.SSLContext | None = None
    connections: int = field(default=0, init=False)
    # Connections that the client closed.
    left: int = field(default=0, init=False)
    requests: list[bytes] = field(default_factory=list, init=False)
    open: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    port: int = field(default=0, init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    @property
    def url(self) -> str:
        """Where the server listens."""
        return f"http://127.0.0.1:{self.port}/"

    async def __aenter__(self) -> Self:
        self.open.set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self.tls, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left += 1
        except asyncio.CancelledError:
            # The server ends; asyncio would report a cancelled handler.
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        reply = self.replies[min(len(self.requests), len(self.replies) - 1)]
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        self.requests.append(head if reply.before_body else head + await reader.readexactly(length))
        await self.open.wait()
        for each in reply.writes:
            writer.write(each)
            await writer.drain()
            await asyncio.sleep(reply.between)
        if reply.before_body:
            await asyncio.Event().wait()
        if reply.then == "reset":
            # Without this it would be an ordinary end.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        return reply.then == "stay"
