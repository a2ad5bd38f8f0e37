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


UPGRADE = (
    b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)


class TinySite:
    """``tests.config.tiny_site`` in a process of its own; clients have a second for everything, it has five to end."""

    def __init__(self, server: str, folder: Path, *, most_files: int | None = None, **settings: str) -> None:
        environment = os.environ | {
            "DATA_DIR": str(folder),
            "LOG_LEVEL": "INFO",
            "REQUEST_HEAD_SECONDS": "1",
            "REQUEST_BODY_SECONDS": "1",
            "KEEP_ALIVE_SECONDS": "1",
            "LINGER_SECONDS": "1",
            "SHUTDOWN_SECONDS": "5",
        }
        command = [sys.executable, "-m", "tests.config.tiny_site", server]
        if most_files:
            command = ["sh", "-c", f'ulimit -n {most_files} && exec "$@"', "sh", *command]
        self._errors = folder / "errors"
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment | settings,
                stdout=subprocess.PIPE,
                stderr=errors,
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

    def open_socket(self, path: str) -> socket.socket:
        """Open a WebSocket whose frames the test writes itself, since no library is as rude as this."""
        client = self.connect(UPGRADE % path.encode())
        assert client.recv(12) == b"HTTP/1.1 101"
        return client

    @property
    def errors(self) -> str:
        """What the process has written to its log."""
        return self._errors.read_text()

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
