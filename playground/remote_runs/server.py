"""Tells the site's other web processes of the runs that this one has; ``playground.remote_runs.client`` asks.

Those of this machine ask on its Unix socket; those of other machines over Redis.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from typing import Any, Final

import msgspec
from django.conf import settings

from core.ids import process_name
from playground.conversations import answers, claims
from playground.remote_runs import client, readers, redis_channel
from playground.remote_runs.client import framed, read_frame
from playground.remote_runs.protocol import Question
from playground.socket.frames import frames_of

BACKLOG: Final = 128
# Who connects asks at once; and who hears the end of a run when this process ends, takes it at once.
QUESTION_SECONDS: Final = 5
DRAIN_SECONDS: Final = 1

_read_question = msgspec.json.Decoder(Question)


@asynccontextmanager
async def serving() -> AsyncIterator[None]:
    """Answer the other processes meanwhile; where this process serves alone, there is nobody to answer."""
    async with AsyncExitStack() as ways:
        if settings.WORKERS > 1:
            await ways.enter_async_context(_serving_on_socket())
        if settings.REDIS_URL:
            await ways.enter_async_context(_serving_over_redis())
        yield


@asynccontextmanager
async def _serving_over_redis() -> AsyncIterator[None]:
    async with redis_channel.opened(_answer_over_redis):
        try:
            yield
        finally:
            await readers.drain(DRAIN_SECONDS)


async def _answer_over_redis(question: Question) -> Any:
    match question.about:
        case "follow":
            return await readers.tell(question)
        case "leave":
            return readers.leave(question.reader)
        case "held" | "stop":
            return _answer_at_once(question)


def _answer_at_once(question: Question) -> bool:
    """Say whether a run is under way, having ended it if that was asked."""
    if question.about == "stop" and (kept := answers.find(question.run)):
        kept.run.stop()
    return claims.is_held_here(question.run)


@asynccontextmanager
async def _serving_on_socket() -> AsyncIterator[None]:
    speaking: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        speaking.add(task)
        try:
            await _answer(reader, writer)
        finally:
            speaking.discard(task)
            writer.close()

    server = await asyncio.start_unix_server(answer, sock=_listener())
    try:
        yield
    finally:
        server.close()
        if speaking:
            # They have the ends of their runs to tell.
            await asyncio.wait(speaking, timeout=DRAIN_SECONDS)
        for task in speaking:
            task.cancel()


def _listener() -> socket.socket:
    """Open this process's socket; its folder is for nobody else, and so is what may connect."""
    client.folder().mkdir(mode=0o700, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    with client.address(process_name()) as where:
        listener.bind(where)
    listener.listen(BACKLOG)
    return listener


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one question."""
    # Whoever asked may be gone at any moment.
    with suppress(OSError, EOFError, TimeoutError):
        async with asyncio.timeout(QUESTION_SECONDS):
            question = _read_question.decode(await read_frame(reader))
        if question.about == "follow":
            await _tell(question, reader, writer)
        else:
            writer.write(framed(_answer_at_once(question)))
        await writer.drain()


async def _tell(question: Question, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Tell a run, if it is here, until its end or until nobody listens."""
    kept = answers.find(question.run)
    if not kept:
        return
    telling = asyncio.create_task(_write_frames(kept, question.after, writer))
    # Nothing more is asked on a connection: what there is to read is its end.
    leaving = asyncio.create_task(reader.read(1))
    try:
        await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (telling, leaving):
            task.cancel()
        await asyncio.gather(telling, leaving, return_exceptions=True)


async def _write_frames(kept: answers.Kept, after: int, writer: asyncio.StreamWriter) -> None:
    async with aclosing(frames_of(kept, after)) as frames:
        async for frame in frames:
            writer.write(framed(frame))
            # A frame counts as sent when the other process takes it, and that waits for its browser.
            await writer.drain()
