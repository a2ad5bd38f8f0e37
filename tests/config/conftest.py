"""A small application behind each of the two servers."""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.patience import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parent.parent.parent


class TinySite:
    """``tests.config.tiny_site`` in a process of its own; clients have a second for everything, it has five to end."""

    def __init__(self, server: str, folder: Path) -> None:
        environment = os.environ | {
            "DATA_DIR": str(folder),
            "REQUEST_HEAD_SECONDS": "1",
            "REQUEST_BODY_SECONDS": "1",
            "KEEP_ALIVE_SECONDS": "1",
            "LINGER_SECONDS": "1",
            "SHUTDOWN_SECONDS": "5",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.config.tiny_site", server],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        self.output = self.process.stdout
        self.port = int(self.output.readline())

    def connect(self, request: bytes = b"") -> socket.socket:
        """Open a connection, send what there is, and fail a test that waits without end."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)
        client.sendall(request)
        return client

    def counts(self) -> Counter[str]:
        """Return what the application saw so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/counts", timeout=PATIENCE_SECONDS) as response:
            return Counter(json.load(response))

    def resident_bytes(self) -> int:
        """How much memory the process has."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def stop(self) -> None:
        """End it, whatever it is doing."""
        self.process.kill()
        self.process.wait()
        self.output.close()


@pytest.fixture(params=["daphne", "uvicorn"], scope="module")
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinySite]:
    """The small application behind one server, then behind the other; a module's tests share it."""
    yield from _running(request.param, tmp_path_factory.mktemp("tiny"))


@pytest.fixture(params=["daphne", "uvicorn"])
def tiny_to_end(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TinySite]:
    """The same for one test alone, which may end it."""
    yield from _running(request.param, tmp_path)


def _running(server: str, folder: Path) -> Iterator[TinySite]:
    site = TinySite(server, folder)
    # The first request loads what is loaded late.
    site.counts()
    yield site
    site.stop()
