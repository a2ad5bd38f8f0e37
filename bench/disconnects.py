"""How soon the engine is free after its client left: streams, whole answers, those who wait, and closed browser tabs.

    python -m bench.disconnects [--count 500] [--server daphne]

Each client leaves at a moment of its own, most of them while fifty others are served. Upstream is the tests' fake of
TGI in a process of its own, which notes when each connection closed. One that waits in line has no connection: what
counts is when its run has ended, and that the engine never heard of it. A browser's answer goes on for
RECONNECT_GRACE_SECONDS, which are taken off.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final

from bench import load
from bench.browser import Browser, ask, hear
from bench.stage import Engine, Stage, parser, quantile, stage

WITHIN_SECONDS: Final = 1.0
GRACE_SECONDS: Final = 10.0
AT_ONCE: Final = 50
SOCKETS_AT_ONCE: Final = 16
QUEUE_AT_ONCE: Final = 100
SETTLE_SECONDS: Final = 5.0
PLACES: Final = 10_000
# None of them ends before its client leaves.
LONG_TOKENS: Final = 50_000
ENDLESS: Final[dict[str, Any]] = {"answer": [" token"], "endless": True, "between": 0.05}
BUSY, QUEUED = "bench/busy", "bench/queued"

Leave = Callable[[int], Awaitable[None]]


class Bench:
    """One site with a model that has places for all, and one that has a single place, taken for good."""

    def __init__(self, stage: Stage, engine: Engine, single: Engine) -> None:
        self._stage, self._engine, self._single = stage, engine, single
        self._left_at: dict[str, float] = {}
        self._chance = random.Random(5)

    async def run(self, count: int) -> None:
        """Measure each kind, and print."""
        print(f"{'':<16}{'left':>6}{'within 1 s':>12}{'median s':>10}{'p99 s':>8}{'worst s':>9}")
        for kind, leave in (("stream", self._leave_stream), ("whole answer", self._leave_whole)):
            await self._each(kind, leave, count, AT_ONCE)
            await asyncio.sleep(SETTLE_SECONDS)
            self._report(kind, count, self._closed())
        await self._wait_in_line(count)
        async with Browser(self._stage.site) as self._browser:
            await self._each("browser", self._leave_tab, count, SOCKETS_AT_ONCE)
            await asyncio.sleep(GRACE_SECONDS + SETTLE_SECONDS)
            self._report("browser", count, self._closed(), grace=GRACE_SECONDS)

    async def _each(self, kind: str, leave: Leave, count: int, at_once: int) -> None:
        self._left_at.clear()
        some = asyncio.Semaphore(at_once)

        async def one(number: int) -> None:
            async with some:
                await leave(number)

        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(one(number))

    async def _leave_stream(self, number: int) -> None:
        """Leave after some tokens; the first ten, before any."""
        reader, writer = await self._send(BUSY, f"stream {number}", stream=True)
        if number >= 10:
            await _read_tokens(reader, self._chance.randrange(1, 20))
        else:
            await asyncio.sleep(self._chance.uniform(0.2, 0.4))
        self._leave(f"stream {number}", writer)

    async def _leave_whole(self, number: int) -> None:
        _, writer = await self._send(BUSY, f"whole answer {number}", stream=False)
        await asyncio.sleep(self._chance.uniform(0.3, 1))
        self._leave(f"whole answer {number}", writer)

    async def _leave_tab(self, number: int) -> None:
        conversation = await self._browser.begin(BUSY)
        async with self._browser.socket() as socket:
            await ask(socket, conversation, f"browser {number}")
            await hear(socket, "chunks")
            # Without a farewell, as a laptop that is shut.
            self._left_at[f"browser {number}"] = time.monotonic()
            socket.transport.abort()

    async def _wait_in_line(self, count: int) -> None:
        """Have clients leave the line; each is told from the others, in the database, by its limit on the answer."""
        reader, holder = await self._send(QUEUED, "the one that is served", stream=True)
        await _read_tokens(reader, 1)

        async def leave(number: int) -> None:
            _, writer = await self._send(QUEUED, f"queued {number:06}", stream=number % 2 == 0, tokens=1 + number)
            await asyncio.sleep(self._chance.uniform(0.5, 1))
            self._leave(f"queued {number}", writer)

        await self._each("queued", leave, count, QUEUE_AT_ONCE)
        await asyncio.sleep(SETTLE_SECONDS)
        ended = {f"queued {number}": ended_at for number, ended_at in enumerate(self._ended_in_line())}
        heard = [each for each in self._single.asked() if each.opening.startswith("queued")]
        self._report("queued", count, ended)
        if heard:
            raise SystemExit(f"the engine heard of {len(heard)} that left the line")
        holder.close()

    def _ended_in_line(self) -> list[float]:
        """Return when the runs that never had a place ended, by the size of their answer, in monotonic time."""
        offset = time.monotonic() - time.time()
        query = "SELECT ended_at FROM inference_run WHERE model_id = ? AND endpoint_id IS NULL ORDER BY held_nano"
        rows = self._stage.rows(query, QUEUED)
        return [datetime.fromisoformat(f"{ended_at}+00:00").timestamp() + offset for (ended_at,) in rows]

    async def _send(
        self, model: str, content: str, *, stream: bool, tokens: int = LONG_TOKENS
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        body: dict[str, object] = {"model": model, "stream": stream, "max_tokens": tokens}
        body["messages"] = [{"role": "user", "content": content}]
        reader, writer = await asyncio.open_connection("127.0.0.1", self._stage.port)
        writer.write(load.request(self._stage.port, body, {"authorization": f"Bearer {self._stage.key}"}))
        await writer.drain()
        return reader, writer

    def _leave(self, who: str, writer: asyncio.StreamWriter) -> None:
        self._left_at[who] = time.monotonic()
        writer.close()

    def _closed(self) -> Mapping[str, float]:
        return {each.opening: each.closed_at for each in self._engine.asked() if each.closed_at}

    def _report(self, kind: str, count: int, closed: Mapping[str, float], grace: float = 0.0) -> None:
        took = [closed[who] - left_at - grace for who, left_at in self._left_at.items() if who in closed]
        # For one that left before the engine heard of it, nothing is to be closed. Of those in line it never hears.
        heard = {each.opening for each in self._engine.asked()}
        early = len(self._left_at.keys() - heard) if kind != "queued" else 0
        share = sum(seconds <= WITHIN_SECONDS for seconds in took) + early
        figures = f"{quantile(took, 0.5):>10.3f}{quantile(took, 0.99):>8.3f}{max(took):>9.3f}" if took else ""
        print(f"{kind:<16}{len(self._left_at):>6}{f'{share} of {count}':>12}{figures}", flush=True)
        if early:
            print(f"{'':<16}{early} of them before the engine heard of it", flush=True)


async def _read_tokens(reader: asyncio.StreamReader, count: int) -> None:
    """Read until so many tokens came."""
    for _ in range(count):
        await reader.readuntil(b'"delta":{"content":')


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--count", type=int, default=500, help="clients that leave, of each kind")
    chosen = options.parse_args()
    limits = {"PROJECT_CONCURRENCY": "100000", "QUEUE_LENGTH": "100000", "QUEUE_SECONDS": "600"}
    limits |= {"RECONNECT_GRACE_SECONDS": str(GRACE_SECONDS)}
    with Engine(ENDLESS) as engine, Engine(ENDLESS) as single, stage(chosen.server, limits) as site:
        site.add_model(BUSY, [engine], PLACES)
        site.add_model(QUEUED, [single], 1)
        asyncio.run(Bench(site, engine, single).run(chosen.count))


if __name__ == "__main__":
    main()
