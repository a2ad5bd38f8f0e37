"""A small HTTP/1.1 server on a real socket, in a thread of its own, that remembers what came over each connection."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, cast

REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 413: "Payload Too Large"}


@dataclass(eq=False)
class Request:
    """A request that arrived, and what became of its answer; times are of ``time.monotonic``."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    # Requests with the same number came over the same connection.
    connection: int
    tokens_sent: int = 0
    answered_at: float | None = None
    # When the client closed the connection before the answer was complete.
    closed_at: float | None = None

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)


class Connection(asyncio.Protocol):
    """One connection: takes requests one after the other and writes the answers."""

    def __init__(self, server: "FakeServer", number: int) -> None:
        self._server = server
        self._number = number
        self._received = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self.request: Request | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)
        self._server.live.add(self)

    def data_received(self, data: bytes) -> None:
        """Collect bytes; a whole request starts its answer."""
        self._received += data
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        """Note when a client went away in the middle of an answer."""
        self._server.live.discard(self)
        self._writable.set()
        if self.request and self.request.answered_at is None and self.request.closed_at is None:
            self.request.closed_at = time.monotonic()
        if self._task:
            self._task.cancel()

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client caught up."""
        self._writable.set()

    async def drain(self) -> None:
        """Wait until the client can take more; the loop gets its turn in any case, to hear of a client that left."""
        await asyncio.sleep(0)
        if not self._writable.is_set():
            await self._writable.wait()

    def respond(self, status: int, body: bytes, headers: Mapping[str, str], *, with_body: bool = True) -> None:
        """Write a whole answer; to HEAD, without its body."""
        head = {**headers, "content-length": str(len(body))}
        self.transport.write(_head(status, head) + body * with_body)

    def begin(self, headers: Mapping[str, str]) -> None:
        """Begin a chunked answer."""
        self.transport.write(_head(200, {**headers, "transfer-encoding": "chunked"}))

    def send(self, data: bytes) -> None:
        """Write one chunk."""
        self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        """End a chunked answer."""
        self.transport.write(b"0\r\n\r\n")

    def break_off(self) -> None:
        """Close the connection in the middle of the answer."""
        assert self.request
        self.request.answered_at = time.monotonic()
        self.transport.close()

    def _next(self) -> None:
        """Start the next answer if a request is there and none is being answered."""
        head, found, rest = bytes(self._received).partition(b"\r\n\r\n")
        if self._task or not found:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        if "chunked" in headers.get("transfer-encoding", ""):
            if not rest.endswith(b"0\r\n\r\n"):
                return
            body = _unchunked(rest)
            length = len(rest)
        elif len(rest) < length:
            return
        else:
            body = rest[:length]
        del self._received[: len(head) + 4 + length]
        method, path, _ = first.split(" ")
        self.request = Request(method, path, headers, body, self._number)
        self._server.requests.append(self.request)
        self._task = asyncio.get_running_loop().create_task(self._answer(self.request))

    async def _answer(self, request: Request) -> None:
        try:
            await self._server.answer(request, self)
        except Exception as error:  # noqa: BLE001 - raised again where the server ends, in the test's thread
            self._server.failures.append(error)
            self.transport.close()
        if request.answered_at is None:
            request.answered_at = time.monotonic()
        self._task = None
        self._next()


def _bound(port: int) -> socket.socket:
    """Take a port, which answers nobody until it is listened on; with 0, any that is free."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Unknown')}", *(f"{k}: {v}" for k, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _unchunked(framed: bytes) -> bytes:
    body = b""
    while framed:
        size, _, framed = framed.partition(b"\r\n")
        body, framed = body + framed[: int(size, 16)], framed[int(size, 16) + 2 :]
    return body


@dataclass(eq=False)
class FakeServer:
    """Serves in a thread between ``with`` and its end; ``requests`` tells what came."""

    requests: list[Request] = field(default_factory=list, init=False)
    connections: int = field(default=0, init=False)
    live: set[Connection] = field(default_factory=set, init=False)
    port: int = field(default=0, init=False)
    failures: list[Exception] = field(default_factory=list, init=False)
    _grave: socket.socket | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Where the server listens."""
        return f"http://127.0.0.1:{self.port}"

    async def answer(self, request: Request, connection: Connection) -> None:
        """Answer one request; cancelled when the client goes away."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._ready = threading.Event()
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._grave:
            self._grave.close()
        if self.failures:
            raise self.failures[0]

    async def listen(self, port: int = 0) -> asyncio.Server:
        """Start to listen in the running loop."""
        server = await asyncio.get_running_loop().create_server(self._connect, sock=_bound(port), backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._listening = server
        return server

    def close_connections(self) -> None:
        """Close every connection from the server's side, as a restart does."""
        asyncio.run_coroutine_threadsafe(self._close_connections(), self._loop).result()

    def die(self) -> None:
        """Be gone as a killed process is: every connection breaks, and nobody listens any more."""

        async def gone() -> None:
            self._listening.close()
            # Nobody else is to get the port meanwhile.
            self._grave = _bound(self.port)
            await self._close_connections()

        asyncio.run_coroutine_threadsafe(gone(), self._loop).result()

    def come_back(self) -> None:
        """Listen again, where it did before."""
        assert self._grave
        self._grave.close()
        asyncio.run_coroutine_threadsafe(self.listen(self.port), self._loop).result()

    async def _close_connections(self) -> None:
        while self.live:
            # Again each time: one that was being accepted comes to life only now.
            for connection in self.live.copy():
                connection.transport.abort()
            await asyncio.sleep(0)

    def _connect(self) -> Connection:
        self.connections += 1
        return Connection(self, self.connections)

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._run())

    async def _run(self) -> None:
        self._stop = asyncio.Event()
        await self.listen()
        self._ready.set()
        await self._stop.wait()
        self._listening.close()
        await self._close_connections()
