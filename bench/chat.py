"""Clients of any OpenAI-compatible server, cheap enough to follow many quick streams at once.

``bench.load`` knows the bytes of its own upstream; here nothing is known but the protocol.
"""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import msgspec

REQUEST_SECONDS: Final = 300
LINE_BYTES: Final = 1 << 20


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)


class _Usage(msgspec.Struct):
    completion_tokens: int = 0


class _Event(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: object = None


_decode = msgspec.json.Decoder(_Event).decode


class Failed(Exception):
    """A server that did not answer as it should."""


@dataclass(frozen=True)
class Target:
    """One server: its base address without ``/v1``, the model's name there, and the key, if it wants one."""

    name: str
    url: str
    model: str
    key: str = ""

    def request(self, prompt: str, tokens: int) -> bytes:
        """Return the bytes that ask for a stream of at most so many tokens."""
        address = urlsplit(self.url)
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        payload = json.dumps(body).encode()
        head = [
            f"POST {address.path.rstrip('/')}/v1/chat/completions HTTP/1.1",
            f"Host: {address.netloc}",
            "Content-Type: application/json",
            f"Content-Length: {len(payload)}",
        ]
        if self.key:
            head.append(f"Authorization: Bearer {self.key}")
        return "\r\n".join([*head, "", ""]).encode() + payload

    @asynccontextmanager
    async def connect(self) -> AsyncIterator["Connection"]:
        """Open a connection, before the clock starts; a kept one may be closed by some servers at any moment."""
        address = urlsplit(self.url)
        tls = ssl.create_default_context() if address.scheme == "https" else None
        port = address.port or (443 if tls else 80)
        reader, writer = await asyncio.open_connection(address.hostname, port, ssl=tls, limit=LINE_BYTES)
        try:
            yield Connection(self.name, reader, writer)
        finally:
            writer.close()


@dataclass
class Answers:
    """What streams looked like from outside; times in seconds."""

    first: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0

    @property
    def tokens_per_second(self) -> float:
        """All streams together."""
        return self.tokens / self.seconds


async def load(target: Target, prompts: list[str], *, clients: int, tokens: int) -> Answers:
    """Ask every prompt once, from so many connections at a time. Raises Failed."""
    answers, waiting = Answers(), iter(prompts)
    began_at = time.perf_counter()
    async with asyncio.timeout(REQUEST_SECONDS), asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(_client(target, waiting, tokens, answers))
    answers.seconds = time.perf_counter() - began_at
    return answers


async def _client(target: Target, waiting: Iterator[str], tokens: int, answers: Answers) -> None:
    """Ask one prompt after the other."""
    for prompt in waiting:
        async with target.connect() as connection:
            await connection.ask(target.request(prompt, tokens), answers)


class Connection:
    """One connection, for one request."""

    def __init__(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._name, self._reader, self._writer = name, reader, writer

    async def ask(self, request: bytes, answers: Answers) -> None:
        """Send a request and follow its stream to the end. Raises Failed."""
        asked_at, last_at, pieces, counted = time.perf_counter(), 0.0, 0, 0
        self._writer.write(request)
        async for event in self._events():
            if event.error:
                raise Failed(f"{self._name}: an error inside the stream: {event.error}")
            if event.usage:
                counted = event.usage.completion_tokens
            if any(choice.delta.content or choice.delta.reasoning_content for choice in event.choices):
                now = time.perf_counter()
                (answers.gaps if last_at else answers.first).append(now - (last_at or asked_at))
                last_at, pieces = now, pieces + 1
        if not pieces:
            raise Failed(f"{self._name}: an answer without a word")
        # The server's own count, where it gives one: a piece may be several tokens.
        answers.tokens += counted or pieces

    async def _events(self) -> AsyncIterator[_Event]:
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        status = head.partition(b"\r\n")[0].decode("latin-1")
        if " 200" not in status:
            said = (await self._reader.read(500)).decode("utf-8", "replace")
            raise Failed(f"{self._name}: {status}: {said}")
        rest = b""
        async for piece in self._pieces(is_chunked=b"transfer-encoding: chunked" in head):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                text = line.strip()
                if text.startswith(b"data:") and text != b"data: [DONE]":
                    yield _decode(text[5:])

    async def _pieces(self, *, is_chunked: bool) -> AsyncIterator[bytes]:
        if not is_chunked:
            while piece := await self._reader.read(65_536):
                yield piece
            return
        while size := int((await self._reader.readline()).partition(b";")[0], 16):
            yield (await self._reader.readexactly(size + 2))[:-2]
