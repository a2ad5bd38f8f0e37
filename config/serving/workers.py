"""Several web processes on one socket, kept running: ``manage.py serve --workers N``."""

import logging
import os
import shutil
import signal
import socket
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
from core.supervisor import Child, Start, Supervisor
from credits.errors import LedgerError
from inference.concurrency import local
from inference.runs import orphans
from playground import remote_runs

logger = logging.getLogger(__name__)

# For clearing up after a worker that had to be killed: the database may be what it waited for.
CLEAR_SECONDS: Final = 1


class Workers:
    """Web processes that accept from one socket: whoever is free takes the next connection, and none is lost with one
    of them. For the main thread.
    """

    def __init__(self, count: int, listener: socket.socket, server: str) -> None:
        self._is_ending = threading.Event()
        self._supervisors = [Supervisor(_Worker(column, listener, server)) for column in range(count)]

    @property
    def is_ending(self) -> bool:
        """Whether they were told to end."""
        return self._is_ending.is_set()

    def start(self) -> bool:
        """Start them, and return whether all of them can be called; False if one ended instead.

        From here on SIGTERM and SIGINT end them; SIGINT, when they are ending, takes their patience away.
        """
        _clear(len(self._supervisors))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._heard)
        for supervisor in self._supervisors:
            supervisor.start()
        for supervisor in self._supervisors:
            supervisor.is_settled.wait()
        return all(supervisor.was_ready for supervisor in self._supervisors)

    def end(self) -> None:
        """Tell each to end; to be told twice, as by those who signal a whole tree, is the same as once."""
        self._is_ending.set()
        for supervisor in self._supervisors:
            supervisor.stop(signal.SIGTERM)

    def wait(self) -> None:
        """Return when they are told to end and all are gone, in bounded time from then on."""
        self._is_ending.wait()
        give_up_at = time.monotonic() + worker.stop_seconds()
        for supervisor in self._supervisors:
            if not supervisor.join(max(0, give_up_at - time.monotonic())):
                logger.error("%s did not end in time, and is killed", supervisor.name)
                supervisor.stop(signal.SIGKILL)
                supervisor.join(CLEAR_SECONDS)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.is_ending and number == signal.SIGINT:
            for supervisor in self._supervisors:
                supervisor.tell(signal.SIGINT)
        self.end()


class _Worker(Child):
    """One of the web processes; each that takes the place of another has a name of its own."""

    first_delay_seconds = 0.2
    steady_seconds = 30.0

    def __init__(self, column: int, listener: socket.socket, server: str) -> None:
        self.name = f"worker {column + 1}"
        self._column = column
        self._listener = listener
        self._server = server
        self._process_name = ""

    def start(self) -> Start:
        """Return how to start the next one."""
        self._process_name = ids.new_name()
        given = {
            "name": self._process_name,
            "column": self._column,
            "listener": self._listener.fileno(),
            "server": self._server,
        }
        arguments = [f"--{key}={value}" for key, value in given.items()]
        return Start(worker.__name__, arguments, settings.BASE_DIR, _environment(), files=(self._listener.fileno(),))

    def ready(self, process_id: int, line: bytes) -> None:
        """It can be called: there is no more to it."""

    def ended(self, process_id: int, exit_code: int) -> None:
        """Clear up after one; what the runs of a killed one held expires at once."""
        local.forget(remote_runs.folder() / local.FILE_NAME, self._column)
        multiprocess.mark_process_dead(process_id, str(_metrics_folder()))
        remote_runs.forget(self._process_name)
        if not exit_code:
            return
        try:
            orphans.expire(self._process_name)
        except (DatabaseError, LedgerError):
            logger.exception("What the runs of a dead worker held could not expire at once; it does so later")
        finally:
            connection.close()


def _metrics_folder() -> Path:
    return remote_runs.folder() / "metrics"


def _clear(count: int) -> None:
    """Forget what the workers of an earlier start shared."""
    shutil.rmtree(remote_runs.folder(), ignore_errors=True)
    remote_runs.folder().mkdir(mode=0o700)
    _metrics_folder().mkdir()
    local.create(remote_runs.folder() / local.FILE_NAME, count)


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
