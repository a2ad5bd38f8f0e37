"""What the site costs before a real GPU engine: a direct connection and the site, in turns, within one run.

    PARLEY_API_KEY=parley_… python -m bench.gpu --direct http://10.0.0.5:8080 --site http://127.0.0.1:8000 \
        --model meta-llama/Llama-3.1-8B-Instruct [--clients 32] [--rounds 5]

Needs a GPU engine to mean anything (TGI, vLLM or anything OpenAI-compatible), which the site has as the model's only
endpoint and nothing else uses meanwhile. Run it where neither the engine nor the site is short of CPU. No GPU run has
been made yet: none was at hand. The code was run against llama.cpp on a CPU and against the tests' fake of TGI.

Absolute numbers are the engine's. What is told of the site are ratios, each between two loads that followed each other;
their median over the rounds, and the range. Idle is the share of time in which no kernel ran, as nvidia-smi says; it is
measured where nvidia-smi is, or by ``--nvidia-smi "ssh gpu nvidia-smi"``.
"""

import argparse
import asyncio
import itertools
import os
import shlex
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean, median
from types import TracebackType
from typing import Final, Self

from bench.chat import Answers, Failed, Target, load

SAMPLE_MILLISECONDS: Final = 100
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Figure:
    """One line of the report."""

    name: str
    unit: str
    of: Callable[["Load"], float | None]


@dataclass(frozen=True)
class Load:
    """What one load on one target showed; ``idle`` is a share between 0 and 1."""

    answers: Answers
    idle: float | None


def _quantile(values: list[float], part: float) -> float | None:
    return sorted(values)[int(len(values) * part)] if values else None


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1_000 * seconds


FIGURES: Final = (
    Figure("first token, p50", "ms", lambda load: _ms(_quantile(load.answers.first, 0.5))),
    Figure("first token, p95", "ms", lambda load: _ms(_quantile(load.answers.first, 0.95))),
    Figure("between pieces, p50", "ms", lambda load: _ms(_quantile(load.answers.gaps, 0.5))),
    Figure("between pieces, p99", "ms", lambda load: _ms(_quantile(load.answers.gaps, 0.99))),
    Figure("tokens a second", "", lambda load: load.answers.tokens_per_second),
    Figure("GPU idle", "%", lambda load: None if load.idle is None else 100 * load.idle),
)


class Gpu:
    """Watches how busy the GPUs are, through ``nvidia-smi``; without it, nothing is known."""

    def __init__(self, command: str) -> None:
        self._command = shlex.split(command) if command else []
        self.is_there = bool(command) and shutil.which(self._command[0]) is not None

    def __enter__(self) -> Self:
        self._process: subprocess.Popen[str] | None = None
        if self.is_there:
            query = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", str(SAMPLE_MILLISECONDS)]
            self._process = subprocess.Popen([*self._command, *query], stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.idle: float | None = None
        if self._process:
            self._process.terminate()
            busy = [int(line) for line in self._process.communicate()[0].split() if line.isdigit()]
            self.idle = 1 - fmean(busy) / 100 if busy else None


class Bench:
    """Two targets that take turns."""

    def __init__(self, targets: tuple[Target, Target], options: argparse.Namespace) -> None:
        self._targets, self._options = targets, options
        self._gpu = Gpu(options.nvidia_smi)
        self._loads: dict[str, list[Load]] = defaultdict(list)

    def run(self) -> None:
        """Warm both up, then measure; who begins changes from round to round."""
        for target in self._targets:
            self._measure(target, self._options.clients)
        for number in range(self._options.rounds):
            for target in self._targets if number % 2 else self._targets[::-1]:
                self._loads[target.name].append(self._measure(target, self._options.requests))

    def report(self) -> str:
        """Return the table: medians of each target, then what the site makes of the direct connection's figure."""
        lines = [f"{'':<22}{'direct':>12}{'site':>12}   site / direct"]
        for figure in FIGURES:
            direct, site = ([figure.of(load) for load in self._loads[target.name]] for target in self._targets)
            lines.append(_line(figure, direct, site))
        if not self._gpu.is_there:
            lines.append("GPU idle was not measured: there is no nvidia-smi here.")
        return "\n".join(lines)

    def _measure(self, target: Target, requests: int) -> Load:
        # Each prompt is new: no engine has its beginning in a cache.
        prompts = [f"{next(_numbers)}: {self._options.prompt}" for _ in range(requests)]
        clients = min(self._options.clients, requests)
        with self._gpu as gpu:
            answers = asyncio.run(load(target, prompts, clients=clients, tokens=self._options.tokens))
        return Load(answers, gpu.idle)


def _line(figure: Figure, direct: list[float | None], site: list[float | None]) -> str:
    known = [
        (before, after) for before, after in zip(direct, site, strict=True) if before is not None and after is not None
    ]
    name = f"{figure.name}{f', {figure.unit}' if figure.unit else ''}"
    if not known:
        return f"{name:<22}{'-':>12}{'-':>12}   -"
    ratios = [after / before for before, after in known if before]
    told = f"{median(ratios):.3f}   {min(ratios):.3f} to {max(ratios):.3f}" if ratios else "-"
    before, after = (median(each) for each in zip(*known, strict=True))
    return f"{name:<22}{before:12.2f}{after:12.2f}   {told}"


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--direct", required=True, metavar="URL", help="the engine, without /v1")
    parser.add_argument("--direct-model", metavar="NAME", help="the model's name there, if it is another")
    parser.add_argument("--direct-key", default="", metavar="KEY", help="what the engine wants as a Bearer token")
    parser.add_argument("--site", required=True, metavar="URL", help="the site, without /v1")
    key = os.environ.get("PARLEY_API_KEY")
    parser.add_argument(
        "--key", default=key, required=not key, help="of the site, with enough credits (PARLEY_API_KEY)"
    )
    parser.add_argument("--model", required=True, metavar="NAME", help="the model's id at the site")
    parser.add_argument("--clients", type=int, default=32, help="streams at once")
    parser.add_argument("--requests", type=int, default=128, help="in one load")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=200, help="the longest answer")
    parser.add_argument("--prompt", default="Tell a long story about the sea, and do not stop early.")
    parser.add_argument("--nvidia-smi", default="nvidia-smi", metavar="COMMAND", help="empty: do not measure idle time")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run the rounds and print the report."""
    options = _options(arguments)
    direct = Target("direct", options.direct, options.direct_model or options.model, options.direct_key)
    bench = Bench((direct, Target("site", options.site, options.model, options.key)), options)
    try:
        bench.run()
    except* (Failed, OSError, EOFError, TimeoutError) as failures:
        raise SystemExit("\n".join(str(failure) for failure in failures.exceptions)) from None
    print(bench.report())


if __name__ == "__main__":
    main()
