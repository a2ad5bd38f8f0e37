"""A run as a browser is told of it, in frames: its place in the queue, what it says, its end."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any, Final

from core.errors import DomainError
from inference.chunks import Chunk
from inference.runs.spine import Completion
from playground.conversations.answers import Kept

Frames = AsyncGenerator[dict[str, Any], None]

# How often a waiting run's place in the queue is looked at, in seconds.
QUEUE_LOOK_SECONDS: Final = 0.25


async def frames_of(kept: Kept, after: int) -> Frames:
    """Yield a run of this process from after chunk number ``after``, up to its end.

    Asking for the next frame says that the one before was sent.
    """
    completion = kept.completion
    # What ends the answer early is part of the final frame.
    with suppress(DomainError):
        async with completion.subscribe(after) as reader:
            async with aclosing(_places(completion)) as places:
                async for frame in places:
                    yield frame
            async for batch in reader:
                chunks = [_chunk_json(chunk) for chunk in batch.chunks]
                yield {"type": "chunks", "run": completion.id, "from": batch.first, "chunks": chunks}
    yield await asyncio.shield(kept.final)


async def _places(completion: Completion) -> Frames:
    """Yield a run's place in line, and about how long it will be, until its answer begins."""
    told = None
    begun = asyncio.ensure_future(completion.begun())
    try:
        while not begun.done():
            place = completion.place_in_line
            if place and place != told:
                told = place
                queued = {"type": "queued", "run": completion.id, "position": place.position}
                yield {**queued, "wait_seconds": place.wait_seconds}
            await asyncio.wait({begun}, timeout=QUEUE_LOOK_SECONDS)
    finally:
        begun.cancel()
        await asyncio.gather(begun, return_exceptions=True)


def _chunk_json(chunk: Chunk) -> dict[str, str]:
    """Return what a chunk adds to the page; one that adds nothing still counts."""
    pieces = {"content": chunk.content or chunk.refusal, "reasoning": chunk.reasoning}
    return {name: text for name, text in pieces.items() if text}
