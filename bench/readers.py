"""What hundreds of slow readers do to a site: its memory, and how soon the others' tokens come.

    python -m bench.readers [--count 500] [--rounds 3] [--server daphne]

Eight others read streams of 50 tokens a second: alone, beside readers who take everything at once, and beside as many
who take 500 bytes a second of the very same streams, in turns. These streams bring 10,000 bytes a second each, over
connections with segments of 1,460 bytes, as on a network. In the end the slow ones stop reading: each is cut after
READER_SECONDS, its upstream connection closed, and what it was sent is charged.

The site has one core for itself; upstream (the tests' fake of TGI, in processes of its own) and all clients share the
other.
"""

import asyncio
import os
import socket
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median
from typing import Final

import psutil

from bench import load
from bench.chat import Answers, Target
from bench.chat import load as follow
from bench.stage import Engine, Stage, parser, quantile, stage

OTHERS, OTHERS_STREAMS, OTHERS_TOKENS, OTHERS_BETWEEN = 8, 48, 100, 0.02
LARGE_TOKEN: Final = " " + 9_999 * "x"
SEGMENT_BYTES: Final = 1_460
RECEIVE_BYTES: Final = 4_096
SIP_BYTES, SIP_SECONDS = 500, 1.0
# Until the buffers between the site and a slow reader are full.
FILL_SECONDS: Final = 10.0
CUT_SECONDS: Final = 90.0
PLACES: Final = 10_000
OTHERS_MODEL, LARGE_MODEL = "bench/others", "bench/large"
CONDITIONS: Final = ("alone", "beside prompt readers", "beside slow readers")


class Bench:
    """The others, and the readers beside them."""

    def __init__(self, stage: Stage, large: Engine, count: int) -> None:
        self._stage, self._large, self._count = stage, large, count
        self._others = Target("site", stage.site.url, OTHERS_MODEL, stage.key)
        self._figures: dict[str, list[Answers]] = defaultdict(list)
        self._busy: dict[str, list[float]] = defaultdict(list)
        self._grown: dict[str, list[float]] = defaultdict(list)

    async def run(self, rounds: int) -> None:
        """Measure each condition in turn, then let slow readers stop reading, and print."""
        print(f"the site's memory, idle: {self._megabytes():.0f} MB")
        await self._measure("warm-up")
        for _ in range(rounds):
            await self._measure("alone")
            for condition in CONDITIONS[1:]:
                async with self._readers(is_slow="slow" in condition):
                    await asyncio.sleep(FILL_SECONDS)
                    await self._measure(condition)
        self._report()
        await self._stop_reading()

    async def _measure(self, condition: str) -> None:
        prompts = [f"{condition} {number}" for number in range(OTHERS_STREAMS)]
        before = self._cpu_seconds()
        answers = await follow(self._others, prompts, clients=OTHERS, tokens=OTHERS_TOKENS)
        self._figures[condition].append(answers)
        self._busy[condition].append((self._cpu_seconds() - before) / answers.seconds)
        self._grown[condition].append(self._megabytes())

    def _report(self) -> None:
        print(f"{'':<24}{'first token p95 ms':>20}{'between p95 ms':>16}{'p99 ms':>8}{'site MB':>9}{'site CPU':>10}")
        for condition in CONDITIONS:
            rounds = self._figures[condition]
            first = median(1_000 * quantile(each.first, 0.95) for each in rounds)
            gaps = [median(1_000 * quantile(each.gaps, part) for each in rounds) for part in (0.95, 0.99)]
            grown = max(self._grown[condition])
            figures = (
                f"{first:>20.1f}{gaps[0]:>16.1f}{gaps[1]:>8.1f}{grown:>9.0f}{median(self._busy[condition]):>10.0%}"
            )
            print(f"{condition:<24}{figures}", flush=True)

    async def _stop_reading(self) -> None:
        """Let slow readers stop reading, and see how they are cut."""
        before = self._megabytes()
        async with self._readers(is_slow=True) as connections:
            await asyncio.sleep(FILL_SECONDS)
            for each in connections:
                each.cancel()
            stopped_at, most = time.monotonic(), before
            while (seconds := time.monotonic() - stopped_at) < CUT_SECONDS and self._open_upstream():
                await asyncio.sleep(1)
                most = max(most, self._megabytes())
            left = self._open_upstream()
            print(f"{self._count} stopped reading: after {seconds:.0f} s, {left} upstream connections were open")
        print(f"the site's memory: {before:.0f} MB before, {most:.0f} MB at most, {self._megabytes():.0f} MB after")
        self._report_charges()

    def _report_charges(self) -> None:
        query = (
            "SELECT COUNT(*), SUM(delivered_tokens), SUM(generated_tokens), SUM(cost_nano > 0) FROM inference_run "
            "WHERE model_id = ? AND ending = 'slow_reader'"
        )
        count, delivered, generated, charged = self._stage.rows(query, LARGE_MODEL)[0]
        print(
            f"cut as too slow: {count} runs, {charged} charged; {delivered} of {generated} generated tokens were sent"
        )

    @asynccontextmanager
    async def _readers(self, *, is_slow: bool) -> AsyncIterator[list["asyncio.Task[None]"]]:
        """Open the streams; a reader that is cancelled keeps its connection until the end."""
        sockets = [await self._open() for _ in range(self._count)]
        readers = [asyncio.create_task(_sip(each) if is_slow else _drain(each)) for each in sockets]
        yield readers
        for each in readers:
            each.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        for connection in sockets:
            connection.close()
        while self._open_upstream():  # noqa: ASYNC110 - it comes about in another process
            await asyncio.sleep(0.2)

    async def _open(self) -> socket.socket:
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        body: dict[str, object] = {"model": LARGE_MODEL, "max_tokens": 4_000, "stream": True}
        body["messages"] = [{"role": "user", "content": "Tell me about the sea."}]
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, ("127.0.0.1", self._stage.port))
        await loop.sock_sendall(connection, load.request(self._stage.port, body, load.closing(self._stage.key)))
        return connection

    def _open_upstream(self) -> int:
        return sum(each.closed_at is None for each in self._large.asked())

    def _cpu_seconds(self) -> float:
        times = self._stage.site.process.cpu_times()
        return float(times.user + times.system)

    def _megabytes(self) -> float:
        return float(self._stage.site.process.memory_info().rss / 1e6)


async def _sip(connection: socket.socket) -> None:
    """Take a little, now and then, until the connection is cut."""
    loop = asyncio.get_running_loop()
    try:
        while await loop.sock_recv(connection, SIP_BYTES):  # noqa: ASYNC110 - taking little is the point
            await asyncio.sleep(SIP_SECONDS)
    except ConnectionError:
        pass


async def _drain(connection: socket.socket) -> None:
    """Take everything at once."""
    loop = asyncio.get_running_loop()
    while await loop.sock_recv(connection, 65_536):
        pass


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--count", type=int, default=500, help="readers beside the others")
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    core = (os.cpu_count() or 1) - 1
    psutil.Process().cpu_affinity([core])
    with (
        Engine({"between": OTHERS_BETWEEN}, core) as others,
        Engine({"answer": [LARGE_TOKEN], "endless": True, "between": 1.0}, core) as large,
        stage(chosen.server, {"PROJECT_CONCURRENCY": str(PLACES)}, core=0) as site,
    ):
        site.add_model(OTHERS_MODEL, [others], PLACES)
        site.add_model(LARGE_MODEL, [large], PLACES)
        asyncio.run(Bench(site, large, chosen.count).run(chosen.rounds))


if __name__ == "__main__":
    main()
