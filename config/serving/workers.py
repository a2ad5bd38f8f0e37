"""Several web processes on one socket, kept alive: ``manage.py serve --workers N``."""

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Final

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from prometheus_client import multiprocess

from config.serving import worker
from core import ids
from credits.errors import LedgerError
from inference.concurrency import local
from inference.runs import orphans
from playground import peers

logger = logging.getLogger(__name__)

# Between a worker's end and its next start: doubled each time, and short again after it has lived STEADY_SECONDS.
FIRST_DELAY_SECONDS: Final = 0.2
MAX_DELAY_SECONDS: Final = 30
STEADY_SECONDS: Final = 30
# The database may be what a worker waits for that has to be killed.
BURIAL_SECONDS: Final = 1


class Workers:
    """Web processes that accept from one socket: whoever is free takes the next connection, and none is lost with one
    of them. For the main thread.
    """

    def __init__(self, count: int, listener: socket.socket, server: str) -> None:
        self._is_ending = threading.Event()
        self._slots = [_Slot(column, listener, server, self._is_ending) for column in range(count)]

    @property
    def is_ending(self) -> bool:
        """Whether they were told to end."""
        return self._is_ending.is_set()

    def start(self) -> bool:
        """Start them, and return whether all of them can be called; False if one ended instead.

        From here on SIGTERM and SIGINT end them; SIGINT, when they are ending, takes their patience away.
        """
        _clear(len(self._slots))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._heard)
        for slot in self._slots:
            slot.thread.start()
        return all(slot.has_begun() for slot in self._slots)

    def end(self) -> None:
        """Tell each to end; to be told twice, as by those who signal a whole tree, is the same as once."""
        self._is_ending.set()
        for slot in self._slots:
            slot.tell(signal.SIGTERM)

    def wait(self) -> None:
        """Return when they are told to end and all are gone, in bounded time from then on."""
        self._is_ending.wait()
        give_up_at = time.monotonic() + worker.stop_seconds()
        for slot in self._slots:
            slot.thread.join(max(0, give_up_at - time.monotonic()))
            if slot.thread.is_alive():
                slot.kill()
                # To bury it, which needs the database.
                slot.thread.join(BURIAL_SECONDS)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.is_ending and number == signal.SIGINT:
            for slot in self._slots:
                slot.tell(signal.SIGINT)
        self.end()


class _Slot:
    """Keeps one worker alive, on a thread of its own."""

    def __init__(self, column: int, listener: socket.socket, server: str, is_ending: threading.Event) -> None:
        self.thread = threading.Thread(target=self._keep_alive, name=f"worker {column + 1}", daemon=True)
        self._column = column
        self._listener = listener
        self._server = server
        self._is_ending = is_ending
        # Reentrant: a second signal may come while the first one is heard.
        self._guard = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._tried, self._is_ready = threading.Event(), False

    def has_begun(self) -> bool:
        """Return whether the first worker came so far that it could be called, once that is known."""
        self._tried.wait()
        return self._is_ready

    def tell(self, number: signal.Signals) -> None:
        """Send the worker a signal, if it is there."""
        with self._guard:
            if self._process:
                self._process.send_signal(number)

    def kill(self) -> None:
        """End a worker that does not end."""
        logger.error("%s did not end in time, and is killed", self.thread.name)
        with self._guard:
            if self._process:
                self._process.kill()

    def _keep_alive(self) -> None:
        """Run one worker after the other."""
        delay = FIRST_DELAY_SECONDS
        while not self._is_ending.is_set():
            began = time.monotonic()
            try:
                code: int | OSError = self._run(ids.new_name())
            except OSError as error:
                # The system has no room for another process.
                code = error
            self._tried.set()
            if self._is_ending.is_set():
                break
            if time.monotonic() - began > STEADY_SECONDS:
                delay = FIRST_DELAY_SECONDS
            logger.warning("%s ended (exit code %s); it starts again in %.1f s", self.thread.name, code, delay)
            self._is_ending.wait(delay)
            delay = min(2 * delay, MAX_DELAY_SECONDS)
        self._tried.set()

    def _run(self, name: str) -> int:
        """Run one worker from its start to its end; return its exit code."""
        process = self._launch(name)
        if process is None:
            return 0
        with process:
            assert process.stdout
            self._is_ready |= process.stdout.readline() == worker.READY
            self._tried.set()
            code = process.wait()
        _bury(name, process.pid, self._column, was_killed=code != 0)
        return code

    def _launch(self, name: str) -> subprocess.Popen[bytes] | None:
        """Start a worker, unless we are ending."""
        given = {"name": name, "column": self._column, "listener": self._listener.fileno(), "server": self._server}
        with self._guard:
            if self._is_ending.is_set():
                return None
            self._process = subprocess.Popen(
                [sys.executable, "-m", worker.__name__, *(f"--{key}={value}" for key, value in given.items())],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[self._listener.fileno()],
                cwd=settings.BASE_DIR,
                env=_environment(),
                # Ctrl-C in a terminal reaches a whole group: it is for us to pass on.
                process_group=0,
            )
            return self._process


def _metrics_folder() -> Path:
    return peers.folder() / "metrics"


def _clear(count: int) -> None:
    """Forget what the workers of an earlier start shared."""
    shutil.rmtree(peers.folder(), ignore_errors=True)
    peers.folder().mkdir(mode=0o700)
    _metrics_folder().mkdir()
    local.create(peers.folder() / local.FILE_NAME, count)


def _environment() -> dict[str, str]:
    """Return our own, with what the arguments of ``serve`` changed about the settings."""
    return {
        **os.environ,
        "DATA_DIR": str(settings.DATA_DIR),
        "PUBLIC_URL": settings.PUBLIC_URL,
        "ALLOWED_HOSTS": ",".join(settings.ALLOWED_HOSTS),
        "WORKERS": str(settings.WORKERS),
        "PROMETHEUS_MULTIPROC_DIR": str(_metrics_folder()),
    }


def _bury(name: str, pid: int, column: int, *, was_killed: bool) -> None:
    """Put away what a worker left behind; what the runs of a killed one held is free at once."""
    local.forget(peers.folder() / local.FILE_NAME, column)
    multiprocess.mark_process_dead(pid, str(_metrics_folder()))
    peers.forget(name)
    if not was_killed:
        return
    try:
        orphans.expire(name)
    except (DatabaseError, LedgerError):
        logger.exception("What the runs of a dead worker held could not be given back; it expires")
    finally:
        connection.close()
