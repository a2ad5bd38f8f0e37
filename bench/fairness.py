"""How long a quiet project waits while another floods the same model, beside its wait when it is alone; through /v1.

    python -m bench.fairness [--rounds 2] [--server daphne]

The model has four places, and its answers take 0.2 seconds. The quiet project asks in bursts, of three or six times the
places, with pauses: alone, it waits for itself. The flooding one has 64 clients that ask again at once. Alone and
beside the flood take turns. A wait is from the client's first byte to the request's arrival at the engine, the tests'
fake of TGI in a process of its own. A single question, which would not wait at all if it were alone, is told apart.
"""

import asyncio
import itertools
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from bench import load
from bench.stage import Engine, parser, quantile, stage

MODEL: Final = "bench/shared"
PLACES: Final = 4
BETWEEN_SECONDS: Final = 0.02
ANSWER_TOKENS: Final = 10
FLOOD_CLIENTS: Final = 64
BURSTS: Final = {"one question": 1, "bursts of 12": 12, "bursts of 24": 24}
BURSTS_IN_ROUND: Final = 5
# Until the flood has filled every place and the line.
FLOOD_SECONDS: Final = 2.0
_numbers = itertools.count(1)


class Bench:
    """Two projects before one model."""

    def __init__(self, port: int, quiet: str, flooding: str, engine: Engine) -> None:
        self._port, self._quiet, self._flooding, self._engine = port, quiet, flooding, engine
        self._chance = random.Random(5)
        self._asked_at: dict[str, float] = {}
        self._marks: dict[tuple[str, str], list[str]] = defaultdict(list)

    async def run(self, rounds: int) -> None:
        """Measure alone and beside the flood in turns, and print."""
        for _ in range(rounds):
            await self._bursts("alone")
            async with self._flood(ANSWER_TOKENS):
                await self._bursts("flooded")
            async with self._flood(4 * ANSWER_TOKENS):
                await self._bursts("by long ones")
        self._report()

    async def _bursts(self, beside: str) -> None:
        for kind, size in BURSTS.items():
            for _ in range(BURSTS_IN_ROUND):
                marks = [f"{kind} {next(_numbers)}" for _ in range(size)]
                self._marks[kind, beside] += marks
                await asyncio.gather(*(self._ask(self._quiet, mark, ANSWER_TOKENS) for mark in marks))
                await asyncio.sleep(self._chance.uniform(0.5, 1))

    @asynccontextmanager
    async def _flood(self, tokens: int) -> AsyncIterator[None]:
        async def client() -> None:
            while True:
                await self._ask(self._flooding, f"flood {next(_numbers)}", tokens)

        clients = [asyncio.create_task(client()) for _ in range(FLOOD_CLIENTS)]
        await asyncio.sleep(FLOOD_SECONDS)
        yield
        for each in clients:
            each.cancel()
        for each in clients:
            with suppress(asyncio.CancelledError):
                await each

    async def _ask(self, key: str, mark: str, tokens: int) -> None:
        body: dict[str, object] = {"model": MODEL, "max_tokens": tokens}
        body["messages"] = [{"role": "user", "content": mark}]
        self._asked_at[mark] = time.monotonic()
        status, said = await load.once(self._port, load.request(self._port, body, load.closing(key)))
        if status != 200:
            raise SystemExit(f"{mark}: {status} {said[:500]!r}")

    def _report(self) -> None:
        arrived = {each.opening: each.arrived_at for each in self._engine.asked()}
        print(f"{'p95 wait, seconds':<20}{'alone':>8}{'flooded':>10}{'ratio':>8}   by answers four times as long")
        for kind in BURSTS:
            alone, flooded, long = (
                quantile([arrived[mark] - self._asked_at[mark] for mark in self._marks[kind, beside]], 0.95)
                for beside in ("alone", "flooded", "by long ones")
            )
            print(f"{kind:<20}{alone:8.3f}{flooded:10.3f}{flooded / alone:8.2f}{long:10.3f}{long / alone:8.2f}")


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=2)
    chosen = options.parse_args()
    limits = {"PROJECT_CONCURRENCY": "1000"}
    with Engine({"between": BETWEEN_SECONDS}) as engine, stage(chosen.server, limits) as site:
        site.add_model(MODEL, [engine], PLACES)
        quiet, flooding = site.add_key("quiet"), site.add_key("flooding")
        asyncio.run(Bench(site.port, quiet, flooding, engine).run(chosen.rounds))


if __name__ == "__main__":
    main()
