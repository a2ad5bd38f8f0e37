import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from pytest_django.fixtures import Settings
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from playground.conversations import answers
from playground.socket import presence
from tests.fakes.tgi import FakeTgi
from tests.patience import eventually
from tests.playground.cast import Cast, conversation_of
from tests.playground.tab import application, session_of
from tests.runtimes import runtime


@pytest.fixture
async def port(settings: Settings) -> AsyncIterator[int]:
    """The playground's socket behind uvicorn."""

    async def serving_application(scope: Any, receive: Any, send: Any) -> None:
        await application({**scope, "state": {"runtime": runtime()}}, receive, send)

    config = uvicorn.Config(serving_application, host="127.0.0.1", port=0, lifespan="off", log_level="critical")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    settings.PUBLIC_URL = f"http://127.0.0.1:{port}"
    yield port
    server.should_exit = True
    await serving


def connect_to(port: int, session: str, *, held_frames: int) -> connect:
    """Connect as a page of the site does, without compression, and read ahead so many frames only."""
    return connect(
        f"ws://127.0.0.1:{port}/ws/playground",
        origin=Origin(f"http://127.0.0.1:{port}"),
        additional_headers={"Cookie": f"{django_settings.SESSION_COOKIE_NAME}={session}"},
        max_size=None,
        max_queue=held_frames,
        compression=None,
    )


async def take_all(socket: ClientConnection) -> None:
    """Read until the end. Raises ConnectionClosed there."""
    while True:
        await socket.recv()


async def test_a_reader_that_takes_nothing_is_cut_and_the_others_go_on(
    cast: Cast, tgi: FakeTgi, settings: Settings, port: int
) -> None:
    settings.READER_SECONDS, settings.ANSWER_BYTES = 2, 100_000_000
    tgi.script.answer = ["x" * 100_000] * 300
    conversation = await sync_to_async(conversation_of)(cast.member)
    session = await sync_to_async(session_of)(cast.member)
    stuck_tab = connect_to(port, session, held_frames=1)
    async with stuck_tab as stuck, connect_to(port, session, held_frames=16) as reader:
        question = {"type": "send", "ref": "r", "conversation": str(conversation.pk), "content": "Go"}
        await stuck.send(json.dumps(question))
        run = json.loads(await stuck.recv())["run"]
        await reader.send(json.dumps({"type": "attach", "run": run}))
        text = ""
        while (frame := json.loads(await reader.recv()))["type"] == "chunks":
            text += "".join(chunk.get("content", "") for chunk in frame["chunks"])
        assert (frame["type"], frame["message"]["state"], len(text)) == ("ended", "complete", 30_000_000)
        await eventually(lambda: len(presence.everyone()) == 1)
        with pytest.raises(ConnectionClosed):
            await take_all(stuck)
    kept = answers.find(run)
    assert kept
    assert not kept.run.buffer.subscriptions
