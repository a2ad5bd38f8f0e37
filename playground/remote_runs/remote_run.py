"""Reads a run of another machine's process over Redis, one piece after the other."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

import msgspec

from core.ids import process_of
from core.redis import RedisAway
from playground.remote_runs import redis_channel
from playground.remote_runs.protocol import ANSWER_SECONDS, FINAL, PIECE_SECONDS, Piece, Question
from playground.remote_runs.redis_channel import ProcessUnreachable

# A process that was just heard of may be unheard for a moment; while Redis is away, for longer.
GONE_SECONDS: Final = 2
AWAY_SECONDS: Final = 10
RETRY_SECONDS: Final = 0.5


async def follow(run: str, after: int) -> AsyncGenerator[dict[str, Any], None]:
    """Yield what is told of a run, from after chunk number ``after``.

    What was lost on the way is asked for again. Without the run's last frame, the process does not have it, is gone, or
    cannot be reached.
    """
    heard_at, patience_seconds = -math.inf, GONE_SECONDS
    reader = uuid4().hex
    try:
        while True:
            try:
                pieces = await _ask(Question("follow", run, after, reader))
            except (RedisAway, ProcessUnreachable) as failure:
                if isinstance(failure, RedisAway):
                    patience_seconds = AWAY_SECONDS
                if time.monotonic() - heard_at > patience_seconds:
                    return
                await asyncio.sleep(RETRY_SECONDS)
                # What the other one remembers of this reader may be ahead of what came.
                reader = uuid4().hex
                continue
            heard_at, patience_seconds = time.monotonic(), GONE_SECONDS
            for piece, frame in pieces or ():
                after = max(after, piece.first + len(piece.chunks) - 1)
                yield frame
            if pieces is None or any(piece.type in FINAL for piece, _ in pieces):
                reader = ""
                return
    finally:
        if reader:
            with suppress(RedisAway):
                await redis_channel.tell(process_of(run), Question("leave", run, reader=reader))


async def _ask(question: Question) -> list[tuple[Piece, dict[str, Any]]] | None:
    """Return the next frames, if there are any; None if there is no such run.

    Raises RedisAway and ProcessUnreachable.
    """
    told = await redis_channel.ask(process_of(question.run), question, PIECE_SECONDS + ANSWER_SECONDS)
    return None if told is None else checked(told, question.run)


def checked(told: Any, run: str) -> list[tuple[Piece, dict[str, Any]]]:
    """Return frames with what they say.

    Raises ProcessUnreachable for what no process of this site would tell of the run.
    """
    try:
        pieces = msgspec.convert(told, list[Piece])
    except msgspec.ValidationError:
        raise ProcessUnreachable from None
    if any(piece.run != run for piece in pieces):
        raise ProcessUnreachable
    return list(zip(pieces, told, strict=True))
