"""Readers of this process's runs in processes of other machines: each asks for one piece after the other.

A frame is sent only when it is asked for, so a slow browser elsewhere holds up nobody; a reader that stops asking is
dropped.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from playground.conversations import answers
from playground.remote_runs.protocol import FINAL, PIECE_SECONDS, Question
from playground.socket.frames import Frames, frames_of

# A reader that asks for nothing for so long has left.
IDLE_SECONDS: Final = 5.0
# A message with more than this brings the rest in further frames.
PIECE_BYTES: Final = 65_536


class _Reader:
    """One reader, on the run's own loop."""

    def __init__(self, number: str, frames: Frames) -> None:
        self._number = number
        self._frames = frames
        self._told: Iterator[dict[str, Any]] = iter(())
        self._coming: asyncio.Task[dict[str, Any] | None] | None = None
        self._idle: asyncio.TimerHandle | None = None
        self.left = asyncio.get_running_loop().create_future()
        _readers[number] = self

    async def next(self) -> list[dict[str, Any]]:
        """Return the next frame; none if it takes longer, and none after the last."""
        if self._idle:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self.leave)
        piece = next(self._told, None)
        if piece is None:
            coming = self._coming = self._coming or asyncio.ensure_future(anext(self._frames, None))
            await asyncio.wait({coming}, timeout=PIECE_SECONDS)
            if not coming.done():
                return []
            self._coming, frame = None, coming.result()
            self._told = _pieces(frame) if frame else iter(())
            piece = next(self._told, None)
        if piece is None or piece["type"] in FINAL:
            self.leave()
        return [piece] if piece else []

    def leave(self) -> None:
        """Let go of the run."""
        if self._idle:
            self._idle.cancel()
        if _readers.pop(self._number, None):
            self.left.set_result(None)
            closing = asyncio.ensure_future(self._close())
            _closing.add(closing)
            closing.add_done_callback(_closing.discard)

    async def _close(self) -> None:
        if self._coming:
            self._coming.cancel()
            await asyncio.wait({self._coming})
        await self._frames.aclose()


_readers: dict[str, _Reader] = {}
_closing: set[asyncio.Future[None]] = set()


async def tell(question: Question) -> list[dict[str, Any]] | None:
    """Return the next frame of a run, or nothing yet; None if the run is not here. The last frame is the run's end."""
    reader = _readers.get(question.reader)
    if reader is None:
        kept = answers.find(question.run)
        if kept is None:
            return None
        reader = _Reader(question.reader, frames_of(kept, question.after))
    return await reader.next()


def leave(number: str) -> None:
    """Tell nothing more to a reader."""
    if reader := _readers.get(number):
        reader.leave()


async def drain(seconds: float) -> None:
    """Let them hear the ends of their runs, for a process that ends; then let go of whoever is left."""
    if _readers:
        await asyncio.wait([reader.left for reader in _readers.values()], timeout=seconds)
    for reader in list(_readers.values()):
        reader.leave()
    await asyncio.gather(*_closing)


def _pieces(frame: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Split a frame that is too long for a message; a run from its beginning may be megabytes."""
    if frame["type"] != "chunks":
        yield frame
        return
    first, chunks, size = frame["from"], [], 0
    for chunk in frame["chunks"]:
        chunks.append(chunk)
        size += len(msgspec.json.encode(chunk))
        if size > PIECE_BYTES:
            yield {**frame, "from": first, "chunks": chunks}
            first, chunks, size = first + len(chunks), [], 0
    if chunks:
        yield {**frame, "from": first, "chunks": chunks}
