"""A network between two parts of a site that can be cut, slow, or a black hole."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

from tests.patience import PATIENCE_SECONDS
from tests.postgresql import free_port

Result = TypeVar("Result")

READ_BYTES: Final = 65_536


class Wire:
    """A port that leads to another one; the parts on both sides notice nothing of it while it is whole.

    Methods are called from other threads. A fault ends with ``heal``.
    """

    def __init__(self, port: int) -> None:
        """Lead to a loopback port."""
        self.port = free_port()
        self._upstream = port
        self._delay_seconds = 0.0
        self._is_cut = False
        self._is_swallowing = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"wire to {port}")

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._carry, "127.0.0.1", self.port)).result(PATIENCE_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._close()).result(PATIENCE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)

    def of(self, url: str) -> str:
        """Return an address with this wire's port in the place of its own."""
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{self.port}"))

    def cut(self) -> None:
        """Reset every connection, and those to come."""
        self._is_cut = True
        self._loop.call_soon_threadsafe(self._reset)

    def swallow(self) -> None:
        """Take connections and bytes, and pass nothing on; no end of a connection either.

        Connections on which bytes were lost stay silent after the fault: their ends have to notice by themselves.
        """
        self._is_swallowing = True

    def slow(self, seconds: float) -> None:
        """Keep every read back for a while."""
        self._delay_seconds = seconds

    def heal(self) -> None:
        """Be whole again."""
        self._is_cut = self._is_swallowing = False
        self._delay_seconds = 0.0

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self._is_cut:
                return
            if self._is_swallowing:
                # Whoever waits for a greeting waits in vain, and hears of it by nothing.
                await reader.read()
                return
            above, below = await asyncio.open_connection("127.0.0.1", self._upstream)
            self._writers.add(below)
            try:
                async with asyncio.TaskGroup() as pumps:
                    pumps.create_task(self._pump(reader, below))
                    pumps.create_task(self._pump(above, writer))
            finally:
                below.transport.abort()
                self._writers.discard(below)
        # Cancelled as the wire ends, which a stream's own callback takes for an error.
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._writers.discard(writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes; raises OSError at the end, so that the other way ends too."""
        is_lost = False
        while received := await reader.read(READ_BYTES):
            if self._delay_seconds:
                await asyncio.sleep(self._delay_seconds)
            is_lost |= self._is_swallowing
            if not is_lost:
                writer.write(received)
                await writer.drain()
        if is_lost or self._is_swallowing:
            await asyncio.Event().wait()
        raise ConnectionResetError

    def _reset(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _close(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _do(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)
