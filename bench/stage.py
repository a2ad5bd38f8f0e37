"""What the benches of behaviour under load share: engines in processes of their own, the site as ``serve``, and keys.

Times are of ``time.monotonic``, which all processes of a machine share.
"""

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

import psutil

from tests.site import Site

PRICES: Final = ("--price-in", "0.22", "--price-out", "0.22")
DOLLARS: Final = "100000"


class Asked(NamedTuple):
    """A request that reached an engine; ``opening`` is its first message, ``closed_at`` is None if it was answered."""

    opening: str
    tokens_sent: int
    arrived_at: float
    closed_at: float | None


class Engine:
    """A fake TGI in a process of its own."""

    def __init__(self, script: dict[str, Any], core: int | None = None) -> None:
        self._core, self._script, self.port = core, script, 0
        self.start()

    def start(self) -> None:
        """Begin to listen, where it did before."""
        command = [sys.executable, "-m", "bench.engine", "--port", str(self.port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self._core is not None:
            psutil.Process(self._process.pid).cpu_affinity([self._core])
        assert self._process.stdout
        self.url = self._process.stdout.readline().strip()
        self.port = urlsplit(self.url).port or 0
        self._order(self._script)

    def asked(self) -> list[Asked]:
        """Return the requests for an answer that came since the start."""
        return [Asked(**each) for each in self._order("tell")]

    def kill(self) -> None:
        """Be gone at once, as a machine without power is."""
        self._process.kill()
        self._process.communicate()

    def _order(self, order: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()


class Stage:
    """A site of its own, with nothing in it but what a bench puts there."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.key = site.key

    @property
    def port(self) -> int:
        """Where the site listens."""
        return urlsplit(self.site.url).port or 0

    def add_model(self, model: str, engines: Sequence[Engine], concurrency: int) -> None:
        """Put a model on these engines, each with so many places, into the catalogue."""
        places = ("--context", "100000", "--concurrency", str(concurrency))
        for engine in engines:
            endpoint = ("--endpoint", engine.url, "--kind", "tgi", "--no-check")
            self.site.manage("add_model", model, *endpoint, *PRICES, *places)

    def rows(self, query: str, *parameters: str) -> list[tuple[Any, ...]]:
        """Ask the site's database."""
        with closing(sqlite3.connect(f"file:{self.site.folder}/parley.sqlite3?mode=ro", uri=True)) as database:
            return database.execute(query, parameters).fetchall()

    def add_key(self, team: str) -> str:
        """Make a team with plenty of credits and return the key of its project."""
        self.site.manage("create_team", team, "--owner", self.site.admin["email"])
        self.site.manage("grant_credits", team, DOLLARS, "--reason", "bench")
        made = self.site.manage("create_key", f"{team}/inference", "--name", "bench", "--json")
        return str(json.loads(made)["api_key"])


@contextmanager
def stage(server: str, settings: dict[str, str], core: int | None = None) -> Iterator[Stage]:
    """Run the site as ``serve`` on a free loopback port, on one core if so wished; in the end, its ledger adds up."""
    ours = {"EMBEDDED_ENGINE": "false", "LOG_LEVEL": "WARNING", "HF_HUB_OFFLINE": "true"}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parley-bench-")))
        site = Site(folder / "site", server, **(ours | settings))
        site.manage("grant_credits", "demo", DOLLARS, "--reason", "bench")
        with site:
            if core is not None:
                site.process.cpu_affinity([core])
            yield Stage(site)
        print(site.manage("verify_ledger").strip())


def quantile(values: Sequence[float], part: float) -> float:
    """Return the value that so large a part of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser that knows which server to measure."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--server", choices=("daphne", "uvicorn"), default="daphne")
    return made
