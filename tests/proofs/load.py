"""Clients that call a web process until it dies: streams and whole answers, some asked for once, some left early."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from proofs.checks import must
from tests.inference.scenes import HELLO
from tests.proofs.customers import Customer

CLIENTS_OF_A_KIND: Final = 6
ANSWER_SECONDS: Final = 60
# Until the kill, after the first answer.
LONGEST_LIFE_SECONDS: Final = 0.6
# A slow machine may time an answer out; then it is asked for again.
REPETITIONS: Final = 5
# Held whole; without a limit, the hold grows by slices.
MAX_TOKENS: Final = 8

Client = Callable[[httpx2.AsyncClient, int, int], Awaitable[None]]


@dataclass
class Seen:
    """What clients know of their requests, over all the lives of the web process. Runs are named by their ids."""

    # Whose answer came to its end: [DONE], or the last byte of a whole one.
    answered: set[str] = field(default_factory=set)
    # Idempotency-Keys that someone still waits for, and the runs that answered for them.
    pending: set[str] = field(default_factory=set)
    once: dict[str, str] = field(default_factory=dict)
    # Those of them that were pending when a process died, and how many requests were left by their clients.
    cut_off: set[str] = field(default_factory=set)
    left: int = 0


@dataclass
class Load:
    """Clients of one life of the process at ``url``; ``often`` calls as it likes, ``once`` with Idempotency-Keys."""

    url: str
    model: str
    often: Customer
    once: Customer
    seen: Seen
    chance: random.Random
    # Makes the Idempotency-Keys of this life its own.
    life: int
    _is_over: bool = False
    _began: asyncio.Event = field(default_factory=asyncio.Event)

    async def until_killed(self, kill: Callable[[], None]) -> None:
        """Call from all clients at once; some time after the first answer, kill, and return when all have noticed."""
        kinds: tuple[Client, ...] = (self._stream, self._whole, self._repeat, self._leave)
        async with client() as http:
            clients = (
                self._again_and_again(kind, http, number) for kind in kinds for number in range(CLIENTS_OF_A_KIND)
            )
            await asyncio.gather(self._kill(kill), *clients)
        self.seen.cut_off |= self.seen.pending

    async def finish(self) -> None:
        """Ask again for everything that was sent with an Idempotency-Key and got no answer."""
        few = asyncio.Semaphore(CLIENTS_OF_A_KIND)

        async def ask(key: str) -> None:
            async with few:
                await self._once(http, key)

        async with client() as http:
            for _ in range(REPETITIONS):
                await asyncio.gather(*map(ask, sorted(self.seen.pending)))
        must(not self.seen.pending, f"{len(self.seen.pending)} repeated requests got no answer")

    async def _kill(self, kill: Callable[[], None]) -> None:
        async with asyncio.timeout(ANSWER_SECONDS):
            await self._began.wait()
        await asyncio.sleep(self.chance.uniform(0, LONGEST_LIFE_SECONDS))
        self._is_over = True
        kill()

    async def _again_and_again(self, kind: Client, http: httpx2.AsyncClient, number: int) -> None:
        """Call until the process is dead; a connection that breaks before that is a finding."""
        turn = 0
        while not self._is_over:
            try:
                await kind(http, number, turn)
            except httpx2.TransportError:
                if not self._is_over:
                    raise
            turn += 1

    async def _stream(self, http: httpx2.AsyncClient, number: int, turn: int) -> None:
        await self._ask(http, self.often, request(self.model, stream=True, is_short=number % 2 == 0))

    async def _whole(self, http: httpx2.AsyncClient, number: int, turn: int) -> None:
        await self._ask(http, self.often, request(self.model, stream=False, is_short=number % 2 == 0))

    async def _repeat(self, http: httpx2.AsyncClient, number: int, turn: int) -> None:
        """Ask with a key that a neighbour may send too; half of the clients repeat what an earlier life cut off."""
        cut_off = sorted(key for key in self.seen.pending if not key.startswith(f"{self.life}-"))
        repeats = cut_off and number < CLIENTS_OF_A_KIND // 2
        await self._once(http, cut_off[number % len(cut_off)] if repeats else f"{self.life}-{turn}-{number // 2}")

    async def _leave(self, http: httpx2.AsyncClient, number: int, turn: int) -> None:
        """Leave a whole answer at any time, or a stream after some events."""
        is_whole = turn % 3 == 0
        body = request(self.model, stream=not is_whole, is_short=number % 2 == 0)
        try:
            async with asyncio.timeout(self.chance.uniform(0, 0.2) if is_whole else None):
                async with post(http, self.url, self.often, body) as answer, aclosing(_events(answer)) as events:
                    for _ in range(turn % MAX_TOKENS):
                        await anext(events, None)
        except TimeoutError:
            pass
        self.seen.left += 1

    async def _once(self, http: httpx2.AsyncClient, key: str) -> None:
        self.seen.pending.add(key)
        # The same key is the same request.
        body = request(self.model, stream=sum(key.encode()) % 2 == 0, is_short=False)
        run = await self._ask(http, self.once, body, key)
        if run is not None:
            must(self.seen.once.setdefault(key, run) == run, f"the key {key} was answered by two runs")
            self.seen.pending.discard(key)

    async def _ask(self, http: httpx2.AsyncClient, who: Customer, body: dict[str, Any], key: str = "") -> str | None:
        """Read an answer to its end, and return its run; None where the engine was too slow for this machine."""
        async with post(http, self.url, who, body, key) as answer:
            must(answer.status_code in (200, 500, 503, 504), f"a request was answered with {answer.status_code}")
            if answer.status_code != 200:
                return None
            if body["stream"]:
                told = await until_done(answer)
                must(told is not None, "a stream that was closed in order has no end")
                chunks = told or []
            else:
                chunks = [json.loads(await answer.aread())]
        if any("error" in chunk for chunk in chunks):
            return None
        run = str(chunks[0]["id"]).removeprefix("chatcmpl-")
        self.seen.answered.add(run)
        self._began.set()
        return run


def client(seconds: float = ANSWER_SECONDS) -> httpx2.AsyncClient:
    """Return an HTTP client for any number of requests at once."""
    return httpx2.AsyncClient(timeout=seconds, limits=httpx2.Limits(max_connections=None))


def request(model: str, *, stream: bool, is_short: bool) -> dict[str, Any]:
    """Return a request; a short one has a limit, so that it is held whole."""
    limit = {"max_tokens": MAX_TOKENS} if is_short else {}
    return {"model": model, "messages": HELLO, "stream": stream, **limit}


def post(
    http: httpx2.AsyncClient, url: str, who: Customer, body: dict[str, Any], key: str = ""
) -> AbstractAsyncContextManager[httpx2.Response]:
    """Ask, with an Idempotency-Key if there is one."""
    headers = {"authorization": f"Bearer {who.secret}"} | ({"idempotency-key": key} if key else {})
    return http.stream("POST", f"{url}/v1/chat/completions", json=body, headers=headers)


async def until_done(answer: httpx2.Response) -> list[Any] | None:
    """Read up to [DONE], whatever becomes of the connection after that; None where the stream has no such end."""
    chunks: list[Any] = []
    async with aclosing(_events(answer)) as events:
        async for event in events:
            if event == "[DONE]":
                return chunks
            chunks.append(json.loads(event))
    return None


async def _events(answer: httpx2.Response) -> AsyncGenerator[str, None]:
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            yield line.removeprefix("data: ")
