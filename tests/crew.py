"""A site of several web processes on the tests' own database, each of which can be spoken to by name."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import httpx2
import psutil
from django.conf import settings
from websockets.sync.client import ClientConnection, connect

from core.ids import NAME_DIGITS
from proofs.scratch import database_url
from tests.patience import PATIENCE_SECONDS
from tests.site import Serve


def serve(folder: Path, server: str, **environment: str) -> Serve:
    """Return a site on the tests' own database, without an engine of its own."""
    ours = {"DATABASE_URL": database_url(), "EMBEDDED_ENGINE": "false", "ENGINE_NETWORKS": "127.0.0.0/8"}
    return Serve(folder, server, DATABASE_POOL_SIZE="5", **ours, **environment)


class Crew:
    """``serve --workers N`` without an engine of its own, while the block runs."""

    def __init__(self, folder: Path, workers: int, server: str = "daphne", **environment: str) -> None:
        self.site = serve(folder, server, WORKERS=str(workers), **environment)

    def __enter__(self) -> Self:
        self.site.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.site.__exit__(*error)

    @property
    def workers(self) -> dict[str, psutil.Process]:
        """The web processes by name, as they are now."""
        found = {}
        for process in self.site.process.children():
            # One that has just died cannot be asked for its command.
            try:
                name = re.search(r"--name=(\w+)", " ".join(process.cmdline()))
            except psutil.Error:
                continue
            if name:
                found[name[1]] = process
        return found

    @contextmanager
    def clients(self, secret: str = "") -> Iterator[dict[str, httpx2.Client]]:
        """Give one open connection to each worker, by its name."""
        headers = {"authorization": f"Bearer {secret}"} if secret else {}
        with ExitStack() as stack:
            found = {}
            for name in self.workers:
                client = httpx2.Client(base_url=self.site.url, headers=headers, timeout=PATIENCE_SECONDS)
                found[name] = stack.enter_context(client)
                with self.only(name):
                    assert name_in(client.get("/healthz")) == name
            yield found

    @contextmanager
    def tab(self, session: str, worker: str) -> Iterator["Tab"]:
        """Open a browser tab's socket at one worker."""
        with ExitStack() as stack:
            with self.only(worker):
                socket = stack.enter_context(open_socket(self.site.url, session))
            yield Tab(socket)

    @contextmanager
    def only(self, worker: str) -> Iterator[None]:
        """Let nobody but one worker take connections for a moment."""
        others = [process for name, process in self.workers.items() if name != worker]
        for process in others:
            process.suspend()
        try:
            yield
        finally:
            for process in others:
                process.resume()


class Tab:
    """An open socket at a worker, and every frame that it was sent."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.frames: list[dict[str, Any]] = []

    def say(self, **frame: Any) -> None:
        """Send a frame."""
        self.socket.send(json.dumps(frame))

    def hear(self, *kinds: str) -> dict[str, Any]:
        """Wait for the next frame of these types."""
        while True:
            frame: dict[str, Any] = json.loads(self.socket.recv(timeout=PATIENCE_SECONDS))
            self.frames.append(frame)
            if frame["type"] in kinds:
                return frame

    def chunks(self, run: str) -> dict[int, str]:
        """Return what came of a run so far, by number; nothing came twice."""
        numbered: dict[int, str] = {}
        for frame in self.frames:
            if frame["type"] == "chunks" and frame["run"] == run:
                for number, chunk in enumerate(frame["chunks"], start=frame["from"]):
                    assert number not in numbered
                    numbered[number] = chunk.get("content", "")
        return numbered


def open_socket(url: str, session: str) -> ClientConnection:
    """Open the playground's socket of a site in a browser that is signed in; to be closed."""
    headers = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={session}", "Origin": url}
    address = f"ws{url.removeprefix('http')}/ws/playground"
    return connect(address, additional_headers=headers, open_timeout=PATIENCE_SECONDS)


def name_in(answer: httpx2.Response) -> str:
    """Return the name of the worker that answered: its requests' ids begin with it."""
    return str(answer.headers["x-request-id"]).removeprefix("req_")[:NAME_DIGITS]
