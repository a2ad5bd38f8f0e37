"""The whole site as an operator runs it: ``manage.py serve`` in processes of its own, on a free port."""

import atexit
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Self

import psutil

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 90
STOP_SECONDS = 20


class Serve:
    """One ``manage.py serve`` on a DATA_DIR and a database that are ready; ``start`` returns when it can be called.

    ``environment`` is added to the settings, such as ``EMBEDDED_ENGINE="false"`` or ``DATABASE_URL=…``.
    """

    def __init__(self, folder: Path, server: str = "daphne", **environment: str) -> None:
        self.folder = folder
        self.server = server
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = _environment(folder) | {"PORT": "0"} | environment

    @property
    def process(self) -> psutil.Process:
        """The running ``serve``."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    @property
    def engine(self) -> psutil.Process | None:
        """The embedded engine's process, while there is one."""
        return engine_of(self.process)

    @property
    def output(self) -> str:
        """What ``serve`` has printed so far."""
        return (self.folder / "serve.out").read_text()

    @property
    def curl(self) -> str:
        """The command that ``serve`` prints to be pasted."""
        return self.output[self.output.index("curl ") :].split("\n\n")[0]

    def start(self) -> Self:
        """Start serving. Raises RuntimeError with its output when it does not come up."""
        self.launch()
        return self.wait_until_ready()

    def wait_until_ready(self) -> Self:
        """Return when what was launched can be called. Raises RuntimeError as ``start`` does."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if found := re.search(r"^Parley is ready: (\S+)$", self.output, re.MULTILINE):
                self.url = found[1]
                return self
            if self.exit_code is not None:
                break
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"serve did not come up:\n{self.output}")

    def launch(self, *arguments: str) -> None:
        """Start the process without waiting for anything."""
        with (self.folder / "serve.out").open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "serve", "--server", self.server, *arguments],
                cwd=ROOT,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def exit_code(self) -> int | None:
        """How ``serve`` ended; None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Wait for the end and return the exit code."""
        assert self._process is not None
        return self._process.wait(seconds)

    def stop(self) -> int:
        """End the site as an operator does, and return its exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End the site without a word."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def manage(self, *arguments: str) -> str:
        """Run another ``manage.py`` command on the same data, and return what it printed."""
        return _manage(self._environment, *arguments)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
            raise


class Site(Serve):
    """One site with a DATA_DIR of its own, bootstrapped."""

    def __init__(self, folder: Path, server: str = "daphne", **environment: str) -> None:
        super().__init__(folder, server, **environment)
        if "DATABASE_URL" in environment:
            folder.mkdir(exist_ok=True)
            self.manage("migrate", "--verbosity", "0")
            self.manage("bootstrap")
        else:
            shutil.copytree(_bootstrapped(), folder, dirs_exist_ok=True)
        made = json.loads((folder / "bootstrap.json").read_text())
        self.key: str = made["api_key"]
        self.project: str = made["project"]
        self.model: str = made["model"]
        self.admin: dict[str, str] = made["admin"]


def engine_of(parent: psutil.Process) -> psutil.Process | None:
    """Find the embedded engine among a process's children."""
    for child in parent.children():
        # A child that has just died cannot be asked for its command.
        with suppress(psutil.Error):
            if "embedded.child" in " ".join(child.cmdline()):
                return child
    return None


def _environment(folder: Path) -> dict[str, str]:
    """What the site's processes get: nothing of the tests' own settings."""
    foreign = {"PUBLIC_URL", "DATABASE_URL", "REDIS_URL"}
    ours = {name: value for name, value in os.environ.items() if name not in foreign}
    return ours | {"DATA_DIR": str(folder), "PYTHONWARNINGS": "default"}


def _manage(environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout


@cache
def _bootstrapped() -> Path:
    """Return a DATA_DIR to copy: migrated and bootstrapped once for all tests."""
    folder = Path(tempfile.mkdtemp(prefix="parley-site-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for command in (["migrate", "--verbosity", "0"], ["bootstrap"]):
        _manage(_environment(folder), *command)
    return folder
