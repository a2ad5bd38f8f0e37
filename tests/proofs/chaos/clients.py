"""Clients of a site in trouble: some patient, some with keys, some that leave, some that lie."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, NamedTuple

import httpx2

from tests.proofs.chaos.site import Site
from tests.proofs.customers import Customer
from tests.proofs.load import client, post, request, until_done

ANSWER_SECONDS: Final = 40
LOOK_SECONDS: Final = 5
# The server's own words about itself; only in an outage.
UNWELL: Final = frozenset({500, 502, 503, 504})
OK: Final = 200


class Callers(NamedTuple):
    """``plenty`` can pay for all, ``poor`` cannot, ``once`` sends Idempotency-Keys."""

    plenty: Customer
    once: Customer
    poor: Customer


@dataclass
class Outages:
    """When something was wrong, on ``time.monotonic``; the last one has no end yet."""

    spans: list[list[float]] = field(default_factory=list)

    def begin(self) -> None:
        """Something goes wrong."""
        self.spans.append([time.monotonic(), float("inf")])

    def end(self) -> None:
        """All is well again."""
        self.spans[-1][1] = time.monotonic()

    def touch(self, began_at: float, ended_at: float) -> bool:
        """Whether anything was wrong between two moments."""
        return any(begin <= ended_at and began_at <= end for begin, end in self.spans)


@dataclass
class Seen:
    """What clients know of their requests. Runs are named by their ids."""

    outcomes: dict[str, Counter[str]] = field(default_factory=lambda: {"calm": Counter(), "outage": Counter()})
    # Whose answer came to its end: [DONE], or the last byte of a whole one.
    answered: set[str] = field(default_factory=set)
    # What an Idempotency-Key stands for, and the keys that someone still waits for.
    once: dict[str, str] = field(default_factory=dict)
    pending: set[str] = field(default_factory=set)
    # The run that broke off last, by its key.
    broken: dict[str, str] = field(default_factory=dict)
    # What no outage excuses, and what only an outage would have.
    wrong: list[str] = field(default_factory=list)


class Crowd:
    """Everybody who calls."""

    def __init__(self, site: Site, model: str, callers: Callers, chance: random.Random) -> None:
        self.seen, self.outages = Seen(), Outages()
        self._site, self._model, self._callers, self._chance = site, model, callers, chance
        self._is_over = asyncio.Event()
        self._keys = count()
        self._turns = count()

    async def call(self, each: int) -> None:
        """Call until ``leave``, with so many clients of each kind."""
        kinds = (self._stream, self._whole, self._repeat, self._quit, self._spend, self._lie)
        async with client(ANSWER_SECONDS) as http, asyncio.TaskGroup() as clients:
            for kind in kinds:
                for _ in range(each):
                    clients.create_task(self._again_and_again(kind, http))

    def leave(self) -> None:
        """Let every client come to the end of its request."""
        self._is_over.set()

    async def finish(self) -> None:
        """Ask again for everything that was sent with an Idempotency-Key and got no answer, for a while."""
        deadline = time.monotonic() + ANSWER_SECONDS
        async with client(ANSWER_SECONDS) as http:
            while self.seen.pending and time.monotonic() < deadline:
                for key in sorted(self.seen.pending):
                    await self._with(http, key)
                # A key may be busy until the lease of a run that died is over.
                await asyncio.sleep(0.1)

    async def is_served(self, http: httpx2.AsyncClient, url: str) -> bool:
        """Whether a process answers as ever, and says so."""
        asked = post(http, url, self._callers.plenty, self._body(stream=False))
        try:
            ready = await http.get(f"{url}/readyz", timeout=LOOK_SECONDS)
            async with asyncio.timeout(LOOK_SECONDS), asked as answer:
                await answer.aread()
        except (TimeoutError, httpx2.TransportError):
            return False
        return ready.status_code == answer.status_code == OK

    async def _again_and_again(
        self, kind: Callable[[httpx2.AsyncClient], Awaitable[str]], http: httpx2.AsyncClient
    ) -> None:
        while not self._is_over.is_set():
            began_at = time.monotonic()
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    outcome = await kind(http)
            except httpx2.TransportError as error:
                outcome = type(error).__name__
            except TimeoutError:
                outcome = "no answer"
            self._note(kind.__name__.removeprefix("_"), outcome, began_at)
            await asyncio.sleep(self._chance.uniform(0, 0.1))

    def _note(self, kind: str, outcome: str, began_at: float) -> None:
        """Count an outcome, and keep it as wrong unless it was expected, or could be excused by an outage."""
        is_calm = not self.outages.touch(began_at, time.monotonic())
        self.seen.outcomes["calm" if is_calm else "outage"][f"{kind}: {outcome}"] += 1
        if outcome.startswith("expected"):
            return
        # Nobody hears that a valid key is not, or that there is no credit where there is: not in an outage either.
        is_unwell = outcome in {str(status) for status in UNWELL} or not outcome.isdigit()
        if is_calm or not is_unwell:
            self.seen.wrong.append(f"{kind} was answered {outcome}{'' if is_calm else ' in an outage'}")

    async def _stream(self, http: httpx2.AsyncClient) -> str:
        return await self._ask(http, self._callers.plenty, self._body(stream=True))

    async def _whole(self, http: httpx2.AsyncClient) -> str:
        return await self._ask(http, self._callers.plenty, self._body(stream=False))

    async def _repeat(self, http: httpx2.AsyncClient) -> str:
        """Repeat what got no answer, or ask anew."""
        waiting = sorted(self.seen.pending)
        key = self._chance.choice(waiting) if waiting and self._chance.random() < 0.7 else f"key-{next(self._keys)}"
        return await self._with(http, key)

    async def _quit(self, http: httpx2.AsyncClient) -> str:
        """Leave at any time."""
        body = self._body(stream=self._chance.random() < 0.7)
        try:
            async with asyncio.timeout(self._chance.uniform(0, 0.3)):
                await self._ask(http, self._callers.plenty, body)
        except TimeoutError:
            return "expected: left"
        return "expected: stayed"

    async def _spend(self, http: httpx2.AsyncClient) -> str:
        """Spend what there is not."""
        outcome = await self._ask(http, self._callers.poor, self._body(stream=True))
        return f"expected: {outcome}" if outcome == "402" else outcome

    async def _lie(self, http: httpx2.AsyncClient) -> str:
        """Send what no server should take; in an outage it may be told that instead."""
        lies: list[tuple[str, bytes, int]] = [
            ("parley_" + "0" * 51, json.dumps(self._body(stream=True)).encode(), 401),
            (self._callers.plenty.secret, b'{"model": ', 400),
            (self._callers.plenty.secret, json.dumps(self._body(stream=True) | {"model": "no/such"}).encode(), 404),
            (self._callers.plenty.secret, json.dumps(self._body(stream=True) | {"max_tokens": -1}).encode(), 400),
        ]
        secret, body, expected = self._chance.choice(lies)
        headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
        answer = await http.post(f"{self._url()}/v1/chat/completions", content=body, headers=headers)
        return f"expected: {answer.status_code}" if answer.status_code == expected else str(answer.status_code)

    async def _with(self, http: httpx2.AsyncClient, key: str) -> str:
        self.seen.pending.add(key)
        return await self._ask(
            http, self._callers.once, self._body(stream=sum(key.encode()) % 2 == 0, is_short=False), key
        )

    async def _ask(self, http: httpx2.AsyncClient, who: Customer, body: dict[str, Any], key: str = "") -> str:
        """Read an answer to its end and return what came of it: "done", a status, or how it broke off."""
        async with post(http, self._url(), who, body, key) as answer:
            if answer.status_code != OK:
                # The one who comes second with a key that is busy.
                is_busy = bool(key) and answer.status_code == 409
                return f"expected: {answer.status_code}" if is_busy else str(answer.status_code)
            chunks = await until_done(answer) if body["stream"] else [json.loads(await answer.aread())]
        if chunks is None:
            return "cut off"
        run = str(chunks[0].get("id", "")).removeprefix("chatcmpl-")
        if any("error" in chunk for chunk in chunks):
            return self._broken_off(key, run)
        self.seen.answered.add(run)
        if key:
            if self.seen.once.setdefault(key, run) != run:
                self.seen.wrong.append(f"the key {key} was answered by two runs")
            self.seen.pending.discard(key)
        return "expected: done"

    def _broken_off(self, key: str, run: str) -> str:
        """Note a stream that ended with an error: where that had begun, it is what its key stands for from then on."""
        if key and run and self.seen.broken.get(key) == run:
            self.seen.pending.discard(key)
            return "expected: broken off as before"
        self.seen.broken[key] = run
        return "error in the stream"

    def _url(self) -> str:
        """Take the next process, as a balancer does."""
        return self._site.processes[next(self._turns) % len(self._site.processes)].url

    def _body(self, *, stream: bool, is_short: bool | None = None) -> dict[str, Any]:
        is_short = self._chance.random() < 0.5 if is_short is None else is_short
        return request(self._model, stream=stream, is_short=is_short)
