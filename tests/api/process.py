"""Another web process on the same database: ``with Process(…) as other: … other.url``."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from django.conf import settings

from proofs import scratch


class Process:
    """Serves the site on a free port, from its making on; ``environment`` is added to its settings."""

    def __init__(self, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.api.process"],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"DATABASE_URL": scratch.database_url(), "DATA_DIR": str(settings.DATA_DIR)} | environment,
            cwd=Path(__file__).parents[2],
        )
        assert self._process.stdout
        port = self._process.stdout.readline().strip()
        if not port.isdigit():
            self.kill()
            raise RuntimeError(f"the process did not come up: {port}")
        self.url = f"http://127.0.0.1:{port}"

    def kill(self) -> None:
        """End the process in the middle of whatever it does."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        self._process.send_signal(how)
        self._process.wait(20)
        if self._process.stdout:
            self._process.stdout.close()


def main() -> None:
    """Serve until SIGTERM; print the port once it is open."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from config import serving
    from config.asgi import application

    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    serving.run(application, listener, "uvicorn", lambda: print(port, flush=True))


if __name__ == "__main__":
    main()
