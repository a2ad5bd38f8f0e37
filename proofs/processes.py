"""Other processes that use the ledger at the same time, to be given tasks, and to be killed."""

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from django.conf import settings

from proofs.checks import must
from proofs.scratch import child_environment, database_url


class Child:
    """Another process on the same database; ``ask`` has it do a task of ``proofs.child``."""

    def __init__(self, output: IO[bytes] | None = None) -> None:
        """Start it; what it prints goes to the file, if there is one, and cannot be asked for then."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "proofs.child"],
            stdin=subprocess.PIPE,
            stdout=output or subprocess.PIPE,
            env=child_environment(database_url()),
            cwd=Path(settings.BASE_DIR),
        )

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def tell(self, task: str, *arguments: object) -> None:
        """Give it a task and go on; it starts when it has started itself."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps([task, *arguments]).encode() + b"\n")
        self._process.stdin.flush()

    def answer(self) -> object:
        """Wait for what came of the task."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        must(line, "a process ended before it had answered")
        return json.loads(line)

    def ask(self, task: str, *arguments: object) -> object:
        """Give it a task and wait for what comes of it."""
        self.tell(task, *arguments)
        return self.answer()

    def kill(self) -> None:
        """End it without a warning, as ``kill -9`` does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):
                if pipe:
                    pipe.close()
