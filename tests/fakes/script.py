"""How a fake engine gives its answers: how fast, how whole, and what goes wrong."""

import asyncio
import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.fakes.server import Connection, Request
from tests.fakes.tgi_events import DONE, KEEP_ALIVE, error_event


@dataclass
class Script:
    """How answers are given; may be changed at any time, and holds for the requests that follow. Times in seconds."""

    # The answer's tokens; None: words that cycle, as many as asked for, ten by default.
    answer: Sequence[str] | None = None
    default_tokens: int = 10
    # The name of a function to call and its arguments in pieces.
    tool_call: tuple[str, Sequence[str]] | None = None
    # Recorded chunks to play instead.
    replayed: Sequence[dict[str, Any]] | None = None
    # A response to give instead: status, content type and body.
    response: tuple[int, str, bytes] | None = None
    before_headers: float = 0
    before_first: float = 0
    between: float = 0
    keep_alive: float = 15
    overloaded: bool = False
    # After so many tokens: an error inside the stream, a closed connection, silence.
    fail_after: int | None = None
    failure: bytes = error_event("Request failed during generation: CUDA out of memory") + DONE
    break_after: int | None = None
    silent_after: int | None = None
    # What ends that silence; None: nothing.
    let_go: threading.Event | None = None
    endless: bool = False
    done: bool = True
    tokens_per_write: int = 1
    # Write the answer in pieces of so many bytes, wherever they fall.
    bytes_per_write: int | None = None


class Play:
    """Plays one answer as the script says."""

    def __init__(self, request: Request, connection: Connection, script: Script) -> None:
        self._request, self._connection, self._script = request, connection, script

    async def stream(self, tokens: list[bytes], tail: list[bytes]) -> None:
        """Write the events of the tokens and what follows them, with everything that may happen in between."""
        script, connection = self._script, self._connection
        tail = [*tail, DONE] if script.done else tail
        if script.bytes_per_write:
            await self._in_pieces(b"".join(tokens + tail), script.bytes_per_write)
            return
        await self._pause(script.before_first)
        for position in itertools.count(0, script.tokens_per_write):
            group = tokens[position : position + script.tokens_per_write]
            if script.endless:
                group = [tokens[0]] * script.tokens_per_write
            if position and script.between and group:
                await self._pause(script.between)
            if await self._is_over(position):
                return
            if not group:
                break
            connection.send(b"".join(group))
            self._request.tokens_sent += len(group)
            await connection.drain()
        for event in tail:
            connection.send(event)
        connection.end()

    async def _is_over(self, position: int) -> bool:
        """Do what the script has for this position; True when nothing follows."""
        script, connection = self._script, self._connection
        if position == script.silent_after:
            await self._silence()
        if position == script.break_after:
            # What was written before goes out first.
            await asyncio.sleep(0.02)
            connection.break_off()
            return True
        if position == script.fail_after:
            connection.send(script.failure)
            connection.end()
            return True
        return False

    async def _silence(self) -> None:
        let_go = self._script.let_go
        if let_go is None:
            await self._pause(3600)
            return
        while not let_go.is_set():  # noqa: ASYNC110 - it is set in the test's thread
            await asyncio.sleep(0.01)

    async def _pause(self, seconds: float) -> None:
        """Wait, with TGI's sign of life."""
        while seconds > self._script.keep_alive:
            await asyncio.sleep(self._script.keep_alive)
            seconds -= self._script.keep_alive
            self._connection.send(KEEP_ALIVE)
        if seconds > 0:
            await asyncio.sleep(seconds)

    async def _in_pieces(self, answer: bytes, size: int) -> None:
        for start in range(0, len(answer), size):
            self._connection.send(answer[start : start + size])
            await asyncio.sleep(0.0005)
        self._connection.end()
