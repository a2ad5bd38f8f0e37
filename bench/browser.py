"""A browser's end of the playground, without the browser: it signs in, begins conversations, asks and leaves."""

import json
from typing import Any, Self

import httpx2
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

from tests.site import Site

MAX_FRAME_BYTES = 1 << 20


class Browser:
    """The operator's browser, signed in."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._http = httpx2.AsyncClient(base_url=site.url, timeout=30)

    async def __aenter__(self) -> Self:
        await self._http.get("/login")
        login = {"username": self._site.admin["email"], "password": self._site.admin["password"]}
        answer = await self._http.post("/login", data=login, headers=self._headers())
        if answer.status_code != 302:
            raise RuntimeError(f"the sign-in answered {answer.status_code}")
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._http.aclose()

    async def begin(self, model: str) -> str:
        """Begin a conversation and return its id."""
        wanted = {"project": self._site.project, "model": model}
        answer = await self._http.post("/playground/conversations", json=wanted, headers=self._headers())
        answer.raise_for_status()
        return str(answer.json()["id"])

    def socket(self) -> connect:
        """Open a socket as a page of the site does."""
        return connect(
            f"ws{self._site.url.removeprefix('http')}/ws/playground",
            origin=Origin(self._site.url),
            additional_headers={"Cookie": "; ".join(f"{name}={value}" for name, value in self._http.cookies.items())},
            max_size=MAX_FRAME_BYTES,
            compression=None,
        )

    def _headers(self) -> dict[str, str]:
        return {"X-CSRFToken": self._http.cookies["csrftoken"], "Referer": self._site.url, "Origin": self._site.url}


async def ask(socket: ClientConnection, conversation: str, content: str) -> None:
    """Send a message."""
    await socket.send(json.dumps({"type": "send", "ref": "r", "conversation": conversation, "content": content}))


async def hear(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """Return the next frame of a type. Raises RuntimeError for a failure."""
    while True:
        frame: dict[str, Any] = json.loads(await socket.recv())
        if frame["type"] == kind:
            return frame
        if frame["type"] == "failed":
            raise RuntimeError(f"refused: {frame['error']}")
