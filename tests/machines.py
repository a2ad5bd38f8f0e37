"""Several machines that are one site: each a ``serve`` in a DATA_DIR of its own, on the tests' database and a Redis."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import httpx2
import psutil
from django.conf import settings

from tests.crew import Tab, name_in, open_socket, serve
from tests.patience import PATIENCE_SECONDS
from tests.redis_server import RedisServer
from tests.site import Serve


class Machines:
    """Two machines with one web process each, by its name, the first with Daphne; spoken to as a ``Crew`` is.

    ``environment`` may say otherwise, such as for a third one that has two web processes.
    """

    def __init__(self, folder: Path, redis: RedisServer, *more: dict[str, str], **environment: str) -> None:
        shared = {"REDIS_URL": redis.url, "REDIS_SECONDS": "10", "SECRET_KEY": settings.SECRET_KEY} | environment
        kinds = [("daphne", {}), ("uvicorn", {}), *(("uvicorn", each) for each in more)]
        self.sites = [
            serve(_made(folder / f"machine-{number}"), server, **(shared | own))
            for number, (server, own) in enumerate(kinds)
        ]
        self._names: dict[str, Serve] = {}

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for site in self.sites:
                starting.enter_context(site)
            self._names = {name_in(httpx2.get(f"{site.url}/healthz")): site for site in self.sites}
            self._running = starting.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._running.close()

    @property
    def workers(self) -> dict[str, psutil.Process]:
        """The web processes by name, one of each machine."""
        return {name: site.process for name, site in self._names.items()}

    @contextmanager
    def clients(self, secret: str = "") -> Iterator[dict[str, httpx2.Client]]:
        """Give a client for each machine, by the name of its process."""
        headers = {"authorization": f"Bearer {secret}"} if secret else {}
        with ExitStack() as stack:
            yield {
                name: stack.enter_context(httpx2.Client(base_url=site.url, headers=headers, timeout=PATIENCE_SECONDS))
                for name, site in self._names.items()
            }

    @contextmanager
    def tab(self, session: str, worker: str) -> Iterator[Tab]:
        """Open a browser tab's socket at one machine."""
        with open_socket(self._names[worker].url, session) as socket:
            yield Tab(socket)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
