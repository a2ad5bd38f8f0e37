"""One who reads a run at a pace of his own, as a test's coroutine can."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Self

from inference.chunks import Chunk
from inference.runs.run import Receipt, Run
from inference.runs.spine import LiveRun
from tests.patience import eventually


class Batch(NamedTuple):
    """Consecutive chunks; ``first`` is the number of the first one."""

    first: int
    chunks: Sequence[Chunk]


class Listener:
    """Subscribes while it is entered. Iterating gives the batches; what was not asked for was not handed over."""

    def __init__(self, run: Run, after: int = 0, *, whole: bool = False) -> None:
        self.receipt: Receipt | None = None
        self._events: asyncio.Queue[Batch | Exception | None] = asyncio.Queue()
        self.subscription = run.subscribe(self, after, whole=whole)

    def chunks_came(self, first: int, chunks: Sequence[Chunk]) -> None:
        """Take one batch, and no more until it is asked for."""
        self._events.put_nowait(Batch(first, list(chunks)))
        self.subscription.pause()

    def run_ended(self, error: Exception | None) -> None:
        """Note the end."""
        self._events.put_nowait(error)

    def run_settled(self, receipt: Receipt) -> None:
        """Note the receipt."""
        self.receipt = receipt

    async def whole(self) -> list[Chunk]:
        """Return a whole answer; raises what ended the run, if anything did."""
        return [chunk async for batch in self for chunk in batch.chunks]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch:
        if self._events.empty():
            self.subscription.resume()
        event = await self._events.get()
        if event is None:
            raise StopAsyncIteration
        if isinstance(event, Exception):
            raise event
        return event

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.subscription.leave()


async def begun(run: LiveRun) -> None:
    """Return when the first piece of the answer, or a long silence, is there. Raises what kept it from coming."""
    await eventually(lambda: run.buffer.is_begun or run.buffer.is_finished)
    if run.buffer.error and run.receipt.first_token_at is None:
        raise run.buffer.error


async def read_whole(run: Run) -> list[Chunk]:
    """Read an answer that is not streamed."""
    async with Listener(run, whole=True) as listener:
        return await listener.whole()
