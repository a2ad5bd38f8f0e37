"""What a supervised child process does on its side: hear what it is to do, say when it is ready, end with its parent.

Nothing of Django is loaded here, nor anything else that takes long.
"""

import os
import sys
import threading
from collections.abc import Callable


class Parent:
    """The process that supervises this one. What is printed from now on goes to the log, not to the parent."""

    def __init__(self) -> None:
        self._hears = os.dup(1)
        os.dup2(2, 1)

    def order(self) -> bytes:
        """Read what this process is to do, one line."""
        line = b""
        while not line.endswith(b"\n") and (byte := os.read(sys.stdin.fileno(), 1)):
            line += byte
        return line

    def tell(self, line: str) -> None:
        """Say, once and in one line, that this process is ready."""
        with os.fdopen(self._hears, "w") as parent:
            parent.write(line + "\n")

    def end_with(self, end: Callable[[], object]) -> None:
        """Call ``end`` on a thread of its own when the parent is gone, however that came."""
        threading.Thread(target=_await_end, args=(end,), name="parent", daemon=True).start()


def _await_end(end: Callable[[], object]) -> None:
    # Not through a file object, whose lock would be held when the interpreter ends.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    end()
