"""One run's chunks so far, numbered from 1, and those who subscribe to them."""

import logging
from collections.abc import Callable
from typing import Final

from inference.chunks import Chunk
from inference.runs.run import Receipt, Subscriber

logger = logging.getLogger(__name__)

# What a chunk costs in memory besides its text: the struct, its list slot and its share of the allocator.
_CHUNK_OVERHEAD_BYTES: Final = 160
# What a subscriber gets at once: who reads a long answer from its beginning shall not have all of it in one write.
BATCH_CHUNKS: Final = 512


class Buffer:
    """The chunks of one run. One writer appends; any number of subscribers get them, each from a number on.

    Nobody gets anything before ``begin``: until then a failure leaves nothing to be read.
    """

    __slots__ = (
        "_on_drained",
        "chunks",
        "delivered",
        "error",
        "is_begun",
        "is_finished",
        "receipt",
        "size_bytes",
        "subscriptions",
    )

    def __init__(self, on_drained: Callable[[], None] | None = None) -> None:
        self.chunks: list[Chunk] = []
        self.size_bytes = 0
        # The number of the last chunk that counts as delivered.
        self.delivered = 0
        self.is_begun = False
        self.is_finished = False
        self.error: Exception | None = None
        # Once the charge is settled.
        self.receipt: Receipt | None = None
        self.subscriptions: list[Subscription] = []
        # Called once, when the finished answer is delivered whole, or nobody will take more of it.
        self._on_drained = on_drained

    def append(self, chunks: list[Chunk]) -> None:
        """Keep what one read from the engine brought. ``push`` hands it on."""
        self.chunks += chunks
        for chunk in chunks:
            self.size_bytes += _size(chunk)

    def push(self) -> None:
        """Hand what is new to everybody who can take it."""
        for subscription in tuple(self.subscriptions):
            subscription.push()

    def deliver(self, number: int) -> None:
        """Note that everything up to chunk ``number`` was handed over, or is kept for replay."""
        self.delivered = max(self.delivered, number)

    def finish(self, error: Exception | None = None) -> None:
        """Say that nothing follows; subscribers first get what is there, then ``error``, if one ended the run."""
        self.is_finished, self.error = True, error
        if not error:
            self.is_begun = True
        self.push()
        self.look_whether_drained()

    def look_whether_drained(self) -> None:
        """Call ``on_drained`` if it is time."""
        if not (self._on_drained and self.is_finished):
            return
        if self.delivered >= len(self.chunks) or all(each.is_told_end for each in self.subscriptions):
            on_drained, self._on_drained = self._on_drained, None
            on_drained()

    def settle(self, receipt: Receipt) -> None:
        """Tell everybody that the charge is settled."""
        self.receipt = receipt
        self.push()


class Subscription:
    """How far one subscriber is. Paused, as it is at first, it gets nothing: what it could have got waits for it."""

    __slots__ = (
        "_buffer",
        "_is_told_receipt",
        "_is_whole",
        "_on_leave",
        "_position",
        "_subscriber",
        "_taken_bytes",
        "is_paused",
        "is_told_end",
    )

    def __init__(
        self,
        buffer: Buffer,
        subscriber: Subscriber,
        after: int,
        *,
        whole: bool,
        on_leave: "Callable[[Subscription, bool], None]",
    ) -> None:
        self._buffer = buffer
        self._subscriber = subscriber
        self._position = max(0, min(after, len(buffer.chunks)))
        self._taken_bytes = buffer.size_bytes
        self._is_whole = whole
        self._on_leave = on_leave
        self.is_paused = True
        # Whether it was told that nothing follows.
        self.is_told_end = self._is_told_receipt = False
        buffer.subscriptions.append(self)

    @property
    def lag_bytes(self) -> int:
        """About how much memory waits for this subscriber."""
        return 0 if self._is_whole else self._buffer.size_bytes - self._taken_bytes

    def pause(self) -> None:
        """Take nothing for now."""
        self.is_paused = True

    def resume(self) -> None:
        """Take what came meanwhile, and what comes."""
        self.is_paused = False
        self.push()
        self._buffer.look_whether_drained()

    def leave(self, *, is_slow: bool = False) -> None:
        """Want nothing more; ``is_slow`` for a subscriber that took nothing for too long."""
        if self in self._buffer.subscriptions:
            self._buffer.subscriptions.remove(self)
            self._on_leave(self, is_slow)
            self._buffer.look_whether_drained()

    def push(self) -> None:
        """Hand over what is there, as far as the subscriber can take it; then the end, and then the receipt."""
        buffer = self._buffer
        try:
            if buffer.is_begun and (not self._is_whole or (buffer.is_finished and not buffer.error)):
                self._hand_over(buffer.chunks)
            if buffer.is_finished and not self.is_paused and not self.is_told_end:
                self.is_told_end = True
                self._subscriber.run_ended(buffer.error)
            if self.is_told_end and buffer.receipt and not self._is_told_receipt and self in buffer.subscriptions:
                self._is_told_receipt = True
                self._subscriber.run_settled(buffer.receipt)
        except Exception:
            logger.exception("a subscriber broke down")
            self.leave()

    def _hand_over(self, chunks: list[Chunk]) -> None:
        buffer = self._buffer
        while not self.is_paused and (first := self._position) < len(chunks):
            batch = chunks[first:] if self._is_whole else chunks[first : first + BATCH_CHUNKS]
            self._position = first + len(batch)
            if self._position == len(chunks):
                self._taken_bytes = buffer.size_bytes
            else:
                self._taken_bytes += sum(map(_size, batch))
            buffer.deliver(self._position)
            self._subscriber.chunks_came(first + 1, batch)


def _size(chunk: Chunk) -> int:
    size = _CHUNK_OVERHEAD_BYTES + len(chunk.content or "") + len(chunk.reasoning or "")
    size += len(chunk.refusal or "")
    if chunk.tool_calls:
        size += sum(len((call.function and call.function.arguments) or "") for call in chunk.tool_calls)
    if chunk.logprobs is not None:
        size += len(bytes(chunk.logprobs))
    return size
