"""A run as a browser is told of it, in frames: its place in the queue, what it says, its end."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Final

import msgspec

from inference.chunks import Chunk
from inference.routing.queue import QueuePosition
from inference.runs.run import Receipt, Subscription
from playground.conversations.answers import Kept
from playground.conversations.assembly import token_logprobs

Frames = AsyncGenerator[dict[str, Any], None]

# How often a waiting run's place in the queue is looked at, in seconds.
QUEUE_LOOK_SECONDS: Final = 0.25

_encode = msgspec.json.Encoder().encode


class RunRelay:
    """Subscribes to a run of this process from after chunk number ``after``, and puts each of its frames, encoded.

    ``put`` says whether it can take more; once it can again, ``resume`` is called. ``over`` is done behind the last
    frame, which waits for the run's outcome to be written down.
    """

    def __init__(
        self,
        kept: Kept,
        after: int,
        put: Callable[[bytes], bool],
        ref: str | None = None,
    ) -> None:
        self.over: asyncio.Future[None] = kept.run.loop.create_future()
        self._kept = kept
        self._run = kept.run
        self._put = put
        self._ref = ref
        self._head = b'{"type":"chunks","run":%s,"from":' % _encode(self._run.id)
        self._told: QueuePosition | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._has_begun = self._is_left = False
        self._subscription: Subscription = self._run.subscribe(self, after)

    def begin(self) -> None:
        """Begin to tell."""
        self._look_at_queue()
        self._subscription.resume()

    def resume(self) -> None:
        """Tell on: what was put is taken."""
        if not self._is_left:
            self._subscription.resume()

    def leave(self) -> None:
        """Tell no more."""
        if not self._is_left:
            self._is_left = True
            self._stop_looking()
            self._subscription.leave()
            self._kept.final.remove_done_callback(self._concluded)

    def chunks_came(self, first: int, chunks: Sequence[Chunk]) -> None:
        """Tell chunks."""
        self._stop_looking()
        if not self._put(b'%s%d,"chunks":[%s]}' % (self._head, first, b",".join(map(_chunk_json, chunks)))):
            self._subscription.pause()

    def run_ended(self, error: Exception | None) -> None:
        """What ends the answer early is part of the final frame."""
        self._stop_looking()
        self._kept.final.add_done_callback(self._concluded)

    def run_settled(self, receipt: Receipt) -> None:
        """The final frame comes later."""

    def _concluded(self, final: "asyncio.Future[dict[str, Any]]") -> None:
        if self._is_left or final.cancelled():
            return
        frame = final.result()
        self._put(_encode({**frame, "ref": self._ref} if frame["type"] == "failed" else frame))
        self.leave()
        self.over.set_result(None)

    def _look_at_queue(self) -> None:
        """Tell where the run waits, if that has changed, again and again until its answer begins."""
        position = self._run.queue_position
        if position and position != self._told:
            self._told = position
            queued = {"type": "queued", "run": self._run.id, "position": position.position}
            self._put(_encode({**queued, "wait_seconds": position.wait_seconds}))
        if not self._has_begun:
            self._looking = self._run.loop.call_later(QUEUE_LOOK_SECONDS, self._look_at_queue)

    def _stop_looking(self) -> None:
        self._has_begun = True
        if self._looking:
            self._looking.cancel()
            self._looking = None


async def frames_of(kept: Kept, after: int) -> Frames:
    """Yield a run of this process from after chunk number ``after``, up to its end.

    Asking for the next frame says that the one before was sent.
    """
    frames: asyncio.Queue[bytes | None] = asyncio.Queue()

    def put(frame: bytes) -> bool:
        frames.put_nowait(frame)
        return False

    relay = RunRelay(kept, after, put)
    relay.over.add_done_callback(lambda _: frames.put_nowait(None))
    try:
        relay.begin()
        while frame := await frames.get():
            yield msgspec.json.decode(frame)
            if frames.empty():
                relay.resume()
    finally:
        relay.leave()


def _chunk_json(chunk: Chunk) -> bytes:
    """Return what a chunk adds to the page; one that adds nothing still counts."""
    content = chunk.content or chunk.refusal
    if not (chunk.reasoning or chunk.tool_calls or chunk.logprobs or chunk.usage):
        return b'{"content":%s}' % _encode(content) if content else b"{}"
    pieces = {
        "content": content,
        "reasoning": chunk.reasoning,
        "tool_calls": chunk.tool_calls,
        "logprobs": token_logprobs(chunk),
        # An engine that counts along says how many tokens there are so far.
        "tokens": chunk.usage.completion_tokens if chunk.usage else None,
    }
    return _encode({name: piece for name, piece in pieces.items() if piece})
