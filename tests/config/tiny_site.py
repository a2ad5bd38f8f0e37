"""A small ASGI application behind the real servers, in a process of its own: ``python -m tests.config.tiny_site NAME``.

Prints its port once it listens. ``/counts`` tells what the application saw.
"""

import asyncio
import json
import os
import socket
import sys
from collections import Counter
from typing import Any

import django

PIECE = b"x" * 16_384
counts: Counter[str] = Counter()


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer by path."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await _SOCKETS[scope["path"]](receive, send)
    else:
        counts[scope["path"]] += 1
        await _PAGES[scope["path"]](receive, send)


async def _lifespan(receive: Any, send: Any) -> None:
    for _ in range(2):
        message = await receive()
        counts[message["type"]] += 1
        await send({"type": f"{message['type']}.complete"})
    print("shut down", flush=True)


async def _counts(receive: Any, send: Any) -> None:
    await _answer(send, json.dumps(counts).encode())


async def _endless(receive: Any, send: Any) -> None:
    """Send until the client is gone."""
    await receive()
    gone = asyncio.create_task(receive())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while not gone.done():
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        counts["sent"] += len(PIECE)
        await asyncio.sleep(0)
    counts[gone.result()["type"]] += 1


async def _upload(receive: Any, send: Any) -> None:
    """Read a whole body."""
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            counts["upload broken off"] += 1
            return
        size += len(message["body"])
        if not message["more_body"]:
            await _answer(send, str(size).encode())
            return


async def _slow(receive: Any, send: Any) -> None:
    """Take a second for an answer."""
    await asyncio.sleep(1)
    await _answer(send, b"done")


async def _stuck(receive: Any, send: Any) -> None:
    """Never answer."""
    try:
        await asyncio.sleep(3600)
    finally:
        print("cancelled", flush=True)


async def _broken(receive: Any, send: Any) -> None:
    raise ZeroDivisionError


async def _half(receive: Any, send: Any) -> None:
    """Begin an answer, and leave."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})


async def _answer(send: Any, body: bytes) -> None:
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]}
    )
    await send({"type": "http.response.body", "body": body})


async def _echo(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        if message["text"].startswith("close "):
            await send({"type": "websocket.close", "code": int(message["text"].split()[1])})
            return
        await send({"type": "websocket.send", "text": message["text"]})
    counts[f"closed {message['code']}"] += 1


async def _endless_socket(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    gone = asyncio.create_task(receive())
    try:
        while not gone.done():
            await send({"type": "websocket.send", "bytes": PIECE})
            await asyncio.sleep(0)
    except OSError:
        # How the ASGI text lets a server say that the client is gone.
        counts["sending failed"] += 1
    counts[(await gone)["type"]] += 1


async def _undecided_socket(receive: Any, send: Any) -> None:
    """Neither accept nor refuse."""
    await asyncio.sleep(3600)


async def _deaf_socket(receive: Any, send: Any) -> None:
    """Accept, and never read."""
    await receive()
    await send({"type": "websocket.accept"})
    await asyncio.sleep(3600)


_PAGES: dict[str, Any] = {
    "/counts": _counts,
    "/endless": _endless,
    "/upload": _upload,
    "/slow": _slow,
    "/stuck": _stuck,
    "/broken": _broken,
    "/half": _half,
}
_SOCKETS: dict[str, Any] = {
    "/echo": _echo,
    "/endless": _endless_socket,
    "/deaf": _deaf_socket,
    "/undecided": _undecided_socket,
}


def main() -> None:
    """Serve until told to stop."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    from config.serving import run

    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    run(application, listener, sys.argv[1], lambda: print(port, flush=True))


if __name__ == "__main__":
    main()
