"""Four replicas of one model: where the turns of a conversation go, and what clients notice when one replica is killed.

    python -m bench.replicas [--conversations 100] [--server daphne]

Replicas are the tests' fake of TGI, each a process of its own with eight places; an answer takes 0.3 seconds. Turns are
counted where they arrive: a turn returns when it comes to the replica that had the turn before. Without load, four
conversations go on at once; with load, beside them, as many other clients as keep three quarters of the places taken.

Then one replica is killed (SIGKILL) while 24 clients ask without end, streams and whole answers, and later started
again. It is ejected after the last of the failures that follow the kill within a second of each other, as the site's
own metrics count them; it is back when it is asked again.
"""

import asyncio
import itertools
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import Any, Final

from bench import load
from bench.stage import Engine, Stage, parser, stage

MODEL: Final = "bench/replicated"
REPLICAS, PLACES = 4, 8
ANSWER_TOKENS, BETWEEN_SECONDS = 15, 0.02
TURNS, CONVERSATIONS_AT_ONCE = 5, 4
LOAD_CLIENTS: Final = 24
WARM_SECONDS, DEAD_SECONDS, BACK_SECONDS = 5.0, 10.0, 30.0
LOOK_SECONDS: Final = 0.1
_numbers = itertools.count(1)


class Bench:
    """The replicas and those who ask them."""

    def __init__(self, stage: Stage, replicas: Sequence[Engine]) -> None:
        self._stage, self._replicas = stage, replicas
        self._outcomes: Counter[str] = Counter()

    async def run(self, conversations: int) -> None:
        """Measure affinity, then kill, and print."""
        print(f"turns that returned, without load: {await self._returned('calm', conversations)}", flush=True)
        async with self._load():
            print(f"turns that returned, with load: {await self._returned('busy', conversations)}", flush=True)
        await self._kill()

    async def _returned(self, kind: str, conversations: int) -> str:
        some = asyncio.Semaphore(CONVERSATIONS_AT_ONCE)

        async def one(opening: str) -> None:
            async with some:
                await self._converse(opening)

        openings = [f"{kind} conversation {number}" for number in range(conversations)]
        await asyncio.gather(*map(one, openings))
        # The replica of each turn, in order.
        turns = sorted(
            (asked.arrived_at, asked.opening, number)
            for number, replica in enumerate(self._replicas)
            for asked in replica.asked()
        )
        homes = {opening: [number for _, asked, number in turns if asked == opening] for opening in openings}
        pairs = [pair for numbers in homes.values() for pair in itertools.pairwise(numbers)]
        back = sum(before == after for before, after in pairs)
        spread = Counter(numbers[0] for numbers in homes.values())
        first = ", ".join(str(spread[number]) for number in range(REPLICAS))
        return f"{back} of {len(pairs)} ({back / len(pairs):.1%}); first turns went to the replicas {first}"

    async def _converse(self, opening: str) -> None:
        messages: list[dict[str, Any]] = [{"role": "user", "content": opening}]
        for _ in range(TURNS):
            status, said = await self._post(messages, stream=False)
            if status != 200:
                raise SystemExit(f"{opening}: {status} {said[:500]!r}")
            answer = json.loads(said)["choices"][0]["message"]["content"]
            messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": "Go on."}]

    async def _post(self, messages: Sequence[dict[str, Any]], *, stream: bool) -> tuple[int, bytes]:
        body = {"model": MODEL, "messages": messages, "max_tokens": ANSWER_TOKENS, "stream": stream}
        return await load.once(self._stage.port, load.request(self._stage.port, body, load.closing(self._stage.key)))

    @asynccontextmanager
    async def _load(self) -> AsyncIterator[None]:
        """Have clients ask something new each time, half of them for streams, until the end."""
        is_over = asyncio.Event()

        async def client(number: int) -> None:
            while not is_over.is_set():
                question = [{"role": "user", "content": f"question {next(_numbers)}"}]
                self._outcomes[_outcome(*await self._post(question, stream=number % 2 == 0))] += 1

        async with asyncio.TaskGroup() as clients:
            for number in range(LOAD_CLIENTS):
                clients.create_task(client(number))
            await asyncio.sleep(1)
            yield
            is_over.set()

    async def _kill(self) -> None:
        self._outcomes.clear()
        victim = self._replicas[0]
        async with self._load():
            await asyncio.sleep(WARM_SECONDS)
            before = await self._failures()
            killed_at = time.monotonic()
            await asyncio.to_thread(victim.kill)
            failed_at = await self._watch_failures(killed_at, before)
            await asyncio.to_thread(victim.start)
            started_at = time.monotonic()
            while not (asked := victim.asked()) and time.monotonic() - started_at < BACK_SECONDS:  # noqa: ASYNC110
                await asyncio.sleep(LOOK_SECONDS)
            await asyncio.sleep(WARM_SECONDS)
        answered = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self._outcomes.items()))
        print(f"one of {REPLICAS} killed under load: {answered}")
        print(f"failed before the engine's first token: {self._unbegun()}")
        ejected = _ejected(failed_at) - killed_at if failed_at else 0.0
        print(f"ejected {ejected:.1f} s after the kill; {len(failed_at)} failures counted while it was dead")
        print(f"back {asked[0].arrived_at - started_at:.1f} s after it listened" if asked else "it never came back")

    def _unbegun(self) -> int:
        """Count runs that failed before their first token; a whole answer that fails after it is an error too."""
        query = "SELECT COUNT(*) FROM inference_run WHERE ending = 'engine_error' AND first_token_at IS NULL"
        return int(self._stage.rows(query)[0][0])

    async def _watch_failures(self, since: float, before: int) -> list[float]:
        """Return when the victim's failures were counted, as long as it is dead."""
        failed_at: list[float] = []
        while time.monotonic() - since < DEAD_SECONDS:
            count = await self._failures()
            failed_at += [time.monotonic()] * (count - before - len(failed_at))
            await asyncio.sleep(LOOK_SECONDS)
        return failed_at

    async def _failures(self) -> int:
        """Count how often any replica has failed, by the site's metrics."""
        address = f"127.0.0.1:{self._stage.port}"
        head = f"GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        _, text = await load.once(self._stage.port, head.encode())
        return sum(int(float(count)) for count in re.findall(rb"parley_upstream_errors_total\{.*\} (\S+)", text))


def _outcome(status: int, said: bytes) -> str:
    """Say how a request ended, as its client sees it."""
    if status != 200:
        return f"failed with {status}"
    return "ended by an error inside the stream" if b'data: {"error"' in said else "answered"


def _ejected(failed_at: Sequence[float]) -> float:
    """Return when the failures that followed each other within a second had ended."""
    pauses = (before for before, after in itertools.pairwise(failed_at) if after - before > 1)
    return next(pauses, failed_at[-1])


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--conversations", type=int, default=100)
    chosen = options.parse_args()
    with ExitStack() as stack:
        replicas = [stack.enter_context(Engine({"between": BETWEEN_SECONDS})) for _ in range(REPLICAS)]
        site = stack.enter_context(stage(chosen.server, {"PROJECT_CONCURRENCY": "1000"}))
        site.add_model(MODEL, replicas, PLACES)
        asyncio.run(Bench(site, replicas).run(chosen.conversations))


if __name__ == "__main__":
    main()
