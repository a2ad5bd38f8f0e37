"""A browser tab's end of the playground's socket."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.conf import settings

from accounts.models import User
from playground.routing import websocket_urlpatterns
from tests.patience import PATIENCE_SECONDS
from tests.playground.cast import browser
from tests.runtimes import runtime

application = AuthMiddlewareStack(URLRouter(websocket_urlpatterns))
OWN_ORIGIN = "http://testserver"


def session_of(user: User) -> str:
    """Sign a person in and return the session's key."""
    return browser(user).cookies[settings.SESSION_COOKIE_NAME].value


def handshake(session: str, origin: str = OWN_ORIGIN) -> WebsocketCommunicator:
    """Return a socket that is not yet connected."""
    headers = [(b"host", b"testserver"), (b"origin", origin.encode())]
    if session:
        headers.append((b"cookie", f"{settings.SESSION_COOKIE_NAME}={session}".encode()))
    socket = WebsocketCommunicator(application, "/ws/playground", headers)
    socket.scope["state"] = {"runtime": runtime()}
    return socket


class Tab:
    """An open socket."""

    def __init__(self, socket: WebsocketCommunicator) -> None:
        self.socket = socket
        self.frames: list[dict[str, Any]] = []

    async def say(self, **frame: Any) -> None:
        """Send a frame."""
        await self.socket.send_to(json.dumps(frame))

    async def hear(self, *kinds: str) -> dict[str, Any]:
        """Wait for the next frame of these types; what comes before is kept in ``frames``."""
        while True:
            frame: dict[str, Any] = json.loads(await self.socket.receive_from(timeout=PATIENCE_SECONDS))
            self.frames.append(frame)
            if frame["type"] in kinds:
                return frame

    async def ask(self, conversation: object, content: str, **more: Any) -> dict[str, Any]:
        """Say something and return the ``started`` frame."""
        await self.say(type="send", ref="r1", conversation=str(conversation), content=content, **more)
        return await self.hear("started", "failed")

    def chunks(self, run: str) -> dict[int, dict[str, str]]:
        """Return what came of a run so far, by number; nothing came twice."""
        numbered: dict[int, dict[str, str]] = {}
        for frame in self.frames:
            if frame["type"] == "chunks" and frame["run"] == run:
                for number, chunk in enumerate(frame["chunks"], start=frame["from"]):
                    assert number not in numbered
                    numbered[number] = chunk
        return numbered

    def text(self, run: str) -> str:
        """Return a run's text so far; nothing is missing."""
        numbered = self.chunks(run)
        assert sorted(numbered) == list(range(1, len(numbered) + 1))
        return "".join(numbered[number].get("content", "") for number in sorted(numbered))


@asynccontextmanager
async def tab(user: User) -> AsyncIterator[Tab]:
    """Open a tab of a signed-in person."""
    socket = handshake(await sync_to_async(session_of)(user))
    connected, _ = await socket.connect(timeout=PATIENCE_SECONDS)
    assert connected
    try:
        yield Tab(socket)
    finally:
        await socket.disconnect(timeout=PATIENCE_SECONDS)
