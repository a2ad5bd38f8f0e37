"""A real PostgreSQL of the tests' own: a fresh cluster in a temporary folder, on a free loopback port."""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

# Below those that the system gives to connections: whoever is to listen here some time later still finds it free.
PORTS = range(20_000, 32_000)


def free_port() -> int:
    """Return a loopback port that nobody has."""
    while True:
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def binary(name: str) -> str:
    """Find one of PostgreSQL's programs where Debian keeps them, else on the PATH."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = str(installed[-1]) if installed else shutil.which(name)
    if not found:
        raise RuntimeError("PostgreSQL is not installed: install the Debian package `postgresql`")
    return found


class PostgreSQL:
    """One running cluster; ``url`` connects to it as its superuser."""

    def __init__(self, port: int | None = None) -> None:
        """Create and start the cluster; it refuses to run as root, so root starts it as the user ``postgres``."""
        self._folder = Path(tempfile.mkdtemp(prefix="parley-postgresql-"))
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self._folder, self._user, self._user)
        port = port or free_port()
        self.url = f"postgres://parley@127.0.0.1:{port}/postgres"
        self._data = str(self._folder / "data")
        self._run("initdb", "--pgdata", self._data, "--username", "parley", "--auth", "trust", "--no-sync")
        self._options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={self._folder}"
        self.start()

    def start(self) -> None:
        """Start what was killed, with all that was committed; returns when it can be connected to."""
        log, options = str(self._folder / "log"), f"{self._options} -c fsync=off"
        self._run("pg_ctl", "--pgdata", self._data, "--log", log, "--wait", "-o", options, "start")

    def kill(self) -> None:
        """End it without a word; what is not committed is gone."""
        self._run("pg_ctl", "--pgdata", self._data, "--mode", "immediate", "stop")

    def stop(self) -> None:
        """Stop the cluster and remove its folder."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Have it take what it is sent, and answer nothing while the block runs."""
        parent = psutil.Process(int((self._folder / "data" / "postmaster.pid").read_text().split()[0]))
        # The parent first, which would replace what it misses.
        processes = [parent, *parent.children()]
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in reversed(processes):
                process.send_signal(signal.SIGCONT)

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [binary(name), *arguments],
            check=True,
            user=self._user,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
