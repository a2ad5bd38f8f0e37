"""What the gateway costs beside a direct connection: CPU, added latency and memory, in one run.

    python -m bench.gateway [--rounds 3]

Authentication, holds and settlement are on. The gateway runs on one core; upstream and load share the other. Figures
are medians of the rounds; servers and the direct connection take turns within a round.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import psutil

from bench import load

MODEL = "bench/model"
REQUESTS, REQUEST_CLIENTS = 2_000, 8
STREAMS, STREAM_CLIENTS, STREAM_TOKENS = 100, 50, 200
BETWEEN_SECONDS = 0.01


@contextmanager
def process(*arguments: str, core: int, env: dict[str, str] | None = None) -> Iterator[tuple[psutil.Process, str]]:
    """Run a Python module on one core; yields it and the first line it prints."""
    child = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, env=env, text=True)
    try:
        known = psutil.Process(child.pid)
        known.cpu_affinity([core])
        assert child.stdout
        yield known, child.stdout.readline().strip()
    finally:
        child.terminate()
        child.wait(10)


class Bench:
    """One folder, one database, two upstreams, and the servers in turn."""

    def __init__(self, folder: str, fast_port: str, paced_port: str) -> None:
        self.env = {**os.environ, "DATA_DIR": folder, "LOG_LEVEL": "WARNING", "EMBEDDED_ENGINE": "false"}
        self.env |= {"PROJECT_CONCURRENCY": "100000"}
        self.ports = {"fast": fast_port, "paced": paced_port}
        self.figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        prepared = subprocess.run(
            [sys.executable, "-m", "bench.prepare", fast_port, paced_port],
            env=self.env,
            check=True,
            capture_output=True,
            text=True,
        )
        self.key: str = json.loads(prepared.stdout)["api_key"]

    def round(self) -> None:
        """Measure the direct connection and each server once."""
        self._measure("direct", int(self.ports["fast"]), int(self.ports["paced"]), None)
        for server in ("uvicorn", "daphne"):
            with process("-m", "bench.site", server, core=0, env=self.env) as (site, line):
                self.figures[server]["idle MB"].append(site.memory_info().rss / 1e6)
                self._measure(server, int(line), int(line), site)

    def _measure(self, name: str, fast: int, paced: int, site: psutil.Process | None) -> None:
        figures = self.figures[name]
        self._load(fast, "fast", stream=False, clients=REQUEST_CLIENTS, requests=200)
        single = self._load(fast, "fast", stream=False, clients=1, requests=300)
        figures["p50 ms, alone"].append(single.p50_ms(single.whole))
        before = _cpu(site)
        self._load(fast, "fast", stream=False, clients=REQUEST_CLIENTS, requests=REQUESTS)
        figures["CPU s / 1,000 requests"].append((_cpu(site) - before) * 1_000 / REQUESTS)
        before = _cpu(site)
        streamed = self._load(paced, "paced", stream=True, clients=STREAM_CLIENTS, requests=STREAMS)
        figures["CPU s / 100,000 chunks"].append((_cpu(site) - before) * 100_000 / streamed.chunks)
        first = self._load(fast, "fast", stream=True, clients=1, requests=200)
        figures["first token ms, alone"].append(first.p50_ms(first.first))
        if site:
            figures["MB after"].append(site.memory_info().rss / 1e6)

    def _load(self, port: int, upstream: str, *, stream: bool, clients: int, requests: int) -> load.Result:
        body: dict[str, object] = {"model": f"{MODEL}-{upstream}", "max_tokens": STREAM_TOKENS, "stream": stream}
        body["messages"] = [{"role": "user", "content": "Tell me about the sea."}]
        message = load.request(port, body, {"authorization": f"Bearer {self.key}"})
        result = asyncio.run(load.run(port, message, clients=clients, requests=requests))
        if result.failures:
            raise SystemExit(f"{result.failures} of {requests} requests failed")
        return result

    def report(self) -> None:
        """Print the medians and what the gateway adds to a direct connection."""
        direct = {name: median(values) for name, values in self.figures["direct"].items()}
        for server in ("uvicorn", "daphne"):
            print(f"\n{server}")
            for name, values in self.figures[server].items():
                added = f"   (+{median(values) - direct[name]:.2f} over direct)" if "ms" in name else ""
                print(f"  {name:<24} {median(values):8.2f}   {min(values):.2f} to {max(values):.2f}{added}")
        print(f"\ndirect: {', '.join(f'{name} {direct[name]:.2f}' for name in direct if 'ms' in name)}")


def _cpu(site: psutil.Process | None) -> float:
    """Return the CPU seconds that a process has used; the direct connection has no gateway, and costs none."""
    if site is None:
        return 0.0
    times: Any = site.cpu_times()
    return float(times.user + times.system)


def main() -> None:
    """Run the rounds and print the report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    last_core = (os.cpu_count() or 1) - 1
    psutil.Process().cpu_affinity([last_core])
    paced = ("--tokens", str(STREAM_TOKENS), "--between", str(BETWEEN_SECONDS))
    with (
        tempfile.TemporaryDirectory(prefix="parley-bench-") as folder,
        process("-m", "bench.upstream", core=last_core) as (_, fast_port),
        process("-m", "bench.upstream", *paced, core=last_core) as (_, paced_port),
    ):
        bench = Bench(folder, fast_port, paced_port)
        for _ in range(rounds):
            bench.round()
        bench.report()


if __name__ == "__main__":
    main()
