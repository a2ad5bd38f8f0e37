"""One of several web processes: it serves on its parent's socket, and ends when its parent does, however that ended.

When its parent is gone it ends as at SIGTERM, charges what was delivered, and is gone in bounded time.
"""

import argparse
import os
import signal
import socket
import sys
import time
from types import FrameType
from typing import Final, NoReturn

from django.conf import settings

from core.supervised import Parent

# Beyond the patience with answers under way: to end the others and have them heard, and for cleaning up, which may take
# SHUTDOWN_SECONDS more.
LAST_SECONDS: Final = 10


def main() -> None:
    """Serve until told to stop."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    given = _arguments()
    signal.signal(signal.SIGTERM, _leave)
    parent = Parent()
    parent.end_with(_end)
    # Late: it builds the whole site. First, too: the others need Django to be set up.
    from config.asgi import application  # noqa: I001
    from config import lifecycle
    from config.serving import run
    from core import ids
    from inference.concurrency import local
    from playground import remote_runs

    ids.name_process(given.name)
    lifecycle.count_together(remote_runs.folder() / local.FILE_NAME, given.column)
    run(application, socket.socket(fileno=given.listener), given.server, lambda: parent.tell("ready"))


def stop_seconds() -> float:
    """Return how long a worker that was told to end may take at most."""
    return 3 * float(settings.SHUTDOWN_SECONDS) + LAST_SECONDS


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--column", type=int, required=True)
    parser.add_argument("--listener", type=int, required=True)
    parser.add_argument("--server", required=True)
    return parser.parse_args()


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """End at once when told to before the web server has taken over."""
    sys.exit(0)


def _end() -> None:
    """End as at SIGTERM, and in bounded time."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(stop_seconds())
    os._exit(1)


if __name__ == "__main__":
    main()
