"""Detects an engine whose main loop is stuck.

A grammar that expands without end keeps llama.cpp's only loop from everything else, when its client has left too, and
``/health`` is answered all the same. What is asked here is answered by the loop itself, between two steps. A step may
take long on a slow machine, but then all of the engine's threads work at it; an expansion keeps one of them busy.
"""

import http.client
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

PATH: Final = "/lora-adapters"
# How often it is looked at, how soon after it did not answer, and how long an answer may take.
LOOK_SECONDS: Final = 2.0
LOOK_AGAIN_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 1.0
# Less than this of a processor's time in between is idling: then it is asked every IDLE_ASK_SECONDS.
IDLE_SECONDS: Final = 0.2
IDLE_ASK_SECONDS: Final = 30.0
# From when it did not answer for the first time. With one thread at work for so long, and all others together for less
# than a share of that, it is stalled; a single thread has nothing to tell a long step by, but its length.
STALL_SECONDS: Final = 5.0
STALL_WORK_SECONDS: Final = 2.0
OTHERS_SHARE: Final = 0.2
# The work of all threads, many times that of the longest step.
LONGEST_STEP_SECONDS: Final = 20.0
# Without an answer and without work.
DEAD_SECONDS: Final = 60.0

# Where the kernel tells them, behind the name.
_USER_TIME: Final = 11
_SYSTEM_TIME: Final = 12


class Silence(NamedTuple):
    """Since when there is no answer, and what each thread had worked by then, in seconds."""

    since: float
    work: dict[str, float]


def problem_of(silent_seconds: float, work: list[float], *, has_threads: bool) -> str:
    """Return what is wrong with an engine that does not answer; nothing where it may just take its time.

    ``work`` is what each of its threads worked meanwhile, in seconds; ``has_threads``: more than one computes.
    """
    total, most = sum(work), max(work, default=0.0)
    if silent_seconds > DEAD_SECONDS and most < STALL_WORK_SECONDS:
        return f"it neither worked nor answered for {silent_seconds:.0f} s"
    is_alone = has_threads and most > STALL_WORK_SECONDS and total - most < OTHERS_SHARE * most
    if silent_seconds > STALL_SECONDS and (is_alone or total > LONGEST_STEP_SECONDS):
        return f"it worked for {total:.0f} s without coming around"
    return ""


class ProgressWatch:
    """Looks after one engine process until it is closed.

    ``on_stall`` is called once, with what is wrong and for how many seconds it has been.
    """

    def __init__(
        self, process_id: int, base_url: str, key: str, on_stall: Callable[[str, float], None], *, has_threads: bool
    ) -> None:
        self._tasks = Path(f"/proc/{process_id}/task")
        self._address = urlsplit(base_url).netloc
        self._key = key
        self._on_stall = on_stall
        self._has_threads = has_threads
        self._is_closed = threading.Event()
        threading.Thread(target=self._watch, name="engine's progress", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._is_closed.set()

    def _watch(self) -> None:
        asked_at, worked = time.monotonic(), 0.0
        silence: Silence | None = None
        while not self._is_closed.wait(LOOK_AGAIN_SECONDS if silence else LOOK_SECONDS):
            before, worked = worked, self._work_seconds()
            now = time.monotonic()
            if not silence and worked - before < IDLE_SECONDS and now - asked_at < IDLE_ASK_SECONDS:
                continue
            asked_at = now
            if self._answers():
                silence = None
            elif silence is None:
                silence = Silence(time.monotonic(), self._work_by_thread())
            elif problem := problem_of(now - silence.since, self._work_since(silence), has_threads=self._has_threads):
                self._on_stall(problem, now - silence.since)
                return

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(self._address, timeout=ANSWER_SECONDS)
        try:
            connection.request("GET", PATH, headers={"Authorization": f"Bearer {self._key}"})
            return connection.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _work_seconds(self) -> float:
        """Return what the engine has worked so far; time itself where that cannot be known."""
        return _processor_seconds(self._tasks.parent / "stat") or time.monotonic()

    def _work_since(self, silence: Silence) -> list[float]:
        return [total - silence.work.get(thread, 0) for thread, total in self._work_by_thread().items()]

    def _work_by_thread(self) -> dict[str, float]:
        """Return what each thread has worked so far; nothing where that cannot be known."""
        try:
            threads = [task.name for task in self._tasks.iterdir()]
        except OSError:
            return {}
        return {thread: _processor_seconds(self._tasks / thread / "stat") or 0.0 for thread in threads}


def _processor_seconds(path: Path) -> float | None:
    """Read a processor's time from Linux's table; None where it is not there."""
    try:
        fields = path.read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[_USER_TIME]) + int(fields[_SYSTEM_TIME])) / os.sysconf("SC_CLK_TCK")
