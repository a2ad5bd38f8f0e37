"""Child processes that are kept running: started, heard of when they are ready, started again when they end.

A child ends by a signal, or with its standard input: that is when its parent is gone, however that came. ``supervised``
is the child's side of it.
"""

import logging
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

logger = logging.getLogger(__name__)

MAX_DELAY_SECONDS: Final = 30.0


class Start(NamedTuple):
    """How one child is started: ``python -m MODULE ARGUMENTS``."""

    module: str
    arguments: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    # Written to its standard input, which stays open.
    order: bytes = b""
    # File descriptors that it takes over.
    files: Sequence[int] = ()
    # Where its standard error goes, added at the end; None: where ours goes.
    log: Path | None = None


class ChildFailed(Exception):
    """The child that is ready is of no use, for the reason that is told; it is ended, and another is started."""


class Child(ABC):
    """What is particular about the children that take one place, one after the other."""

    name: str
    # For its line of readiness; then it is ended.
    ready_seconds = 120.0
    # Between its end and the next start: doubled each time, and short again after it has lived STEADY_SECONDS.
    first_delay_seconds = 0.5
    steady_seconds = 60.0
    # Added to what is logged when one ends.
    hint = ""

    @abstractmethod
    def start(self) -> Start:
        """Return how to start the next one."""

    @abstractmethod
    def ready(self, process_id: int, line: bytes) -> None:
        """Take what it said when it was ready. Raises ChildFailed."""

    @abstractmethod
    def ended(self, process_id: int, exit_code: int) -> None:
        """Clear up after one that was started, however it ended."""


class Supervisor:
    """Keeps one child running, on a thread of its own."""

    def __init__(self, child: Child) -> None:
        # Set while the child is ready; and once it is known whether the first one came so far.
        self.is_ready = threading.Event()
        self.is_settled = threading.Event()
        self.was_ready = False
        self.name = child.name
        self._child = child
        self._is_stopping = threading.Event()
        # Reentrant: a signal's handler may come while another is told.
        self._guard = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        # Why it was killed, if it was killed by us.
        self._reason = ""
        self._thread = threading.Thread(target=self._keep_running, name=child.name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def tell(self, number: signal.Signals) -> None:
        """Send the child a signal, if it runs."""
        with self._guard:
            if self._process:
                self._process.send_signal(number)

    def kill(self, reason: str) -> None:
        """End the child at once. Unless this one is stopped too, another is started."""
        with self._guard:
            if self._process:
                self._reason = reason
                self._process.kill()

    def stop(self, number: signal.Signals) -> None:
        """Start no more children, and send the present one a signal; any number of times."""
        self._is_stopping.set()
        self.tell(number)

    def join(self, seconds: float | None = None) -> bool:
        """Wait until a stopped child is gone; return whether it is."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _keep_running(self) -> None:
        """Run one child after the other."""
        child = self._child
        delay = child.first_delay_seconds
        while not self._is_stopping.is_set():
            began = time.monotonic()
            try:
                reason = self._run()
            except Exception as error:
                # Whatever it is: without this thread, nobody would start another child.
                logger.exception("%s could not be looked after", child.name)
                reason = repr(error)
            self.is_settled.set()
            if self._is_stopping.is_set():
                break
            if time.monotonic() - began > child.steady_seconds:
                delay = child.first_delay_seconds
            logger.warning("%s ended (%s); it starts again in %.1f s%s", child.name, reason, delay, child.hint)
            self._is_stopping.wait(delay)
            delay = min(2 * delay, MAX_DELAY_SECONDS)
        self.is_settled.set()

    def _run(self) -> str:
        """Run one child from its start to its end; return why it ended."""
        try:
            process = self._launch()
        except OSError as error:
            # The system has no room for another process.
            return str(error)
        if process is None:
            return "stopped"
        came_up = False
        try:
            with process:
                try:
                    came_up = self._await_ready(process)
                    process.wait()
                except ChildFailed as failed:
                    self._reason = str(failed)
                finally:
                    self.is_ready.clear()
                    process.kill()
        finally:
            code = process.wait()
            self._child.ended(process.pid, code)
        return self._reason or f"exit code {code}{'' if came_up else ' before it was ready'}"

    def _launch(self) -> subprocess.Popen[bytes] | None:
        """Start a child, unless it is to stop."""
        start = self._child.start()
        with self._guard:
            if self._is_stopping.is_set():
                return None
            self._reason = ""
            log = start.log.open("ab") if start.log else None
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", start.module, *start.arguments],
                    bufsize=0,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    pass_fds=start.files,
                    cwd=start.folder,
                    env=start.environment,
                    # Ctrl-C in a terminal reaches a whole group: it is for us to pass on.
                    process_group=0,
                )
            finally:
                if log:
                    log.close()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(start.order)
        except BrokenPipeError:
            logger.debug("%s ended before it was told what to do", self._child.name)
        return self._process

    def _await_ready(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait for the child's line; return whether it came. Raises ChildFailed."""
        assert process.stdout is not None
        seconds = self._child.ready_seconds
        timer = threading.Timer(seconds, self.kill, [f"it was not ready within {seconds:.0f} s"])
        timer.daemon = True
        timer.start()
        line = process.stdout.readline()
        timer.cancel()
        if line:
            self._child.ready(process.pid, line)
            self.was_ready = True
            self.is_ready.set()
        self.is_settled.set()
        return bool(line)
