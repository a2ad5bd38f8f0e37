"""One run's answer so far, as numbered chunks, and the readers that follow it."""

import asyncio
from collections.abc import AsyncIterator

import msgspec

from inference.chunks import Chunk

# What a chunk costs in memory besides its text: the struct, its list slot and its share of the allocator.
_CHUNK_OVERHEAD_BYTES = 160
# What a reader gets at once: who reads a long answer from its beginning shall not have all of it in one write.
BATCH_CHUNKS = 512


class Batch(msgspec.Struct, frozen=True):
    """Consecutive chunks; ``first`` is the number of the first one, counting from 1."""

    first: int
    chunks: list[Chunk]


class Answer:
    """The chunks of one run. One writer appends; any number of readers follow, each from a number on."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self.size_bytes = 0
        self.is_finished = False
        self.error: Exception | None = None
        self.delivered = 0
        self.readers: set[Reader] = set()
        self._drained: asyncio.Event = asyncio.Event()

    def append(self, chunks: list[Chunk]) -> None:
        """Take what one read from the engine brought, and wake the readers."""
        self.chunks += chunks
        for chunk in chunks:
            self.size_bytes += _size(chunk)
        for reader in self.readers:
            reader.wake()

    def finish(self, error: Exception | None = None) -> None:
        """Say that nothing follows; readers first get what is there, then ``error``, if one ended the run."""
        self.is_finished, self.error = True, error
        self._note_progress()
        for reader in self.readers:
            reader.wake()

    def deliver(self, number: int) -> None:
        """Note that everything up to chunk ``number`` was sent to somebody."""
        self.delivered = max(self.delivered, number)
        self._note_progress()

    async def drained(self) -> None:
        """Return once the finished answer was sent whole, or nobody reads it any more."""
        await self._drained.wait()

    def leave(self, reader: "Reader") -> None:
        """Forget a reader."""
        self.readers.discard(reader)
        self._note_progress()

    def _note_progress(self) -> None:
        if self.is_finished and (not self.readers or self.delivered >= len(self.chunks)):
            self._drained.set()


class Reader:
    """One follower of an answer. Asking for the next batch says that the one before was sent."""

    def __init__(self, answer: Answer, after: int) -> None:
        self._answer = answer
        self._position = max(0, min(after, len(answer.chunks)))
        self._taken_bytes = answer.size_bytes
        self._awake = asyncio.Event()

    def wake(self) -> None:
        """Tell the reader that there is something new."""
        self._awake.set()

    @property
    def lag_bytes(self) -> int:
        """About how much memory waits for this reader beyond the batch that it holds."""
        return self._answer.size_bytes - self._taken_bytes

    def __aiter__(self) -> AsyncIterator[Batch]:
        return self.batches()

    async def whole(self) -> list[Chunk]:
        """Return the finished answer, not yet delivered. Raises the error that ended the run, if one did."""
        while not self._answer.is_finished:
            self._taken_bytes = self._answer.size_bytes
            await self._next()
        if self._answer.error:
            raise self._answer.error
        return self._answer.chunks

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield what is there, then what comes, until the end. Raises the error that ended the run, if one did."""
        answer = self._answer
        while True:
            if self._position < len(answer.chunks):
                batch = Batch(self._position + 1, answer.chunks[self._position : self._position + BATCH_CHUNKS])
                self._position += len(batch.chunks)
                is_all = self._position == len(answer.chunks)
                self._taken_bytes = answer.size_bytes if is_all else self._taken_bytes + sum(map(_size, batch.chunks))
                yield batch
                answer.deliver(self._position)
            elif answer.is_finished:
                break
            else:
                await self._next()
        if answer.error:
            raise answer.error

    async def _next(self) -> None:
        self._awake.clear()
        await self._awake.wait()


def _size(chunk: Chunk) -> int:
    size = _CHUNK_OVERHEAD_BYTES + len(chunk.content or "") + len(chunk.reasoning or "")
    size += len(chunk.refusal or "")
    if chunk.tool_calls:
        size += sum(len((call.function and call.function.arguments) or "") for call in chunk.tool_calls)
    if chunk.logprobs is not None:
        size += len(bytes(chunk.logprobs))
    return size
