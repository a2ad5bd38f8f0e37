"""What the engine tests say to an engine, and how they listen."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from inference.chat import Chat
from inference.chunks import Chunk, Usage
from inference.engines.base import EndpointAddress, Engine
from inference.errors import EngineError
from inference.limits import Limits
from inference.routing.attempt import Attempt
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.script import Script
from tests.fakes.tgi import FakeTgi
from tests.inference.clients import engine_for, http
from tests.runtimes import runtime
from web.chat import parse

HELLO = [{"role": "user", "content": "hello"}]


def chat(**fields: Any) -> Chat:
    """Return a chat that says hello, with more or other fields."""
    return parse(json.dumps({"model": "org/model", "messages": HELLO} | fields).encode())


class _Asker:
    """Takes one batch after the other, as they are asked for."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[list[Chunk] | Exception | None] = asyncio.Queue()
        self.attempt: Attempt

    def chunks_came(self, chunks: list[Chunk]) -> None:
        self.attempt.pause()
        self.events.put_nowait(chunks)

    def answer_ended(self) -> None:
        self.events.put_nowait(None)

    def attempt_failed(self, error: EngineError) -> None:
        self.events.put_nowait(error)

    def broke_down(self, error: Exception) -> None:
        self.events.put_nowait(error)


async def stream(engine: Engine, wanted: Chat, max_tokens: int | None) -> AsyncGenerator[list[Chunk], None]:
    """Ask for an answer, and yield what each read from the socket brings."""
    asker = _Asker()
    attempt = asker.attempt = Attempt(asker, engine, wanted, max_tokens, http=http(), limits=Limits.read())
    runtime().deadlines.watch(attempt)
    try:
        attempt.begin()
        while (event := await asker.events.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event
            attempt.resume()
    finally:
        attempt.leave()
        runtime().deadlines.forget(attempt)


async def answer(engine: Engine, wanted: Chat | None = None, max_tokens: int | None = None) -> list[Chunk]:
    """Return all chunks of an answer."""
    async with aclosing(stream(engine, wanted or chat(), max_tokens)) as batches:
        return [chunk async for batch in batches for chunk in batch]


def text(chunks: list[Chunk]) -> str:
    """Return what the chunks say."""
    return "".join(chunk.content or "" for chunk in chunks)


def finish_reasons(chunks: list[Chunk]) -> list[str]:
    """Return every finish reason."""
    return [chunk.finish_reason for chunk in chunks if chunk.finish_reason]


def final_usage(chunks: list[Chunk]) -> Usage | None:
    """Return the last counts."""
    return next((chunk.usage for chunk in reversed(chunks) if chunk.usage), None)


def called(chunks: list[Chunk]) -> dict[int, tuple[str, str]]:
    """Return each tool call's name and arguments, put together as clients do."""
    calls: dict[int, tuple[str, str]] = {}
    for call in (call for chunk in chunks for call in chunk.tool_calls):
        name, arguments = calls.get(call.index, ("", ""))
        assert call.function
        calls[call.index] = name + (call.function.name or ""), arguments + (call.function.arguments or "")
    return calls


async def answer_in(
    kind: str, body: bytes, wanted: Chat | None = None, content_type: str = "text/event-stream"
) -> list[Chunk]:
    """Return all chunks of an answer that comes as these bytes, read as a kind of engine's."""
    script = Script(response=(200, content_type, body))
    server = FakeTgi(script=script) if kind == "tgi" else FakeOpenAI(script=script)
    with server:
        return await answer(engine_for(EndpointAddress(kind, server.url, "", "org/model")), wanted)
