"""Clients that cost almost nothing: raw HTTP/1.1 on kept connections, latencies out."""

import asyncio
import json
import time
from dataclasses import dataclass, field

LOAD_SECONDS = 120


@dataclass
class Result:
    """What a load saw; latencies in seconds."""

    whole: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    chunks: int = 0
    failures: int = 0

    def p50_ms(self, latencies: list[float]) -> float:
        """Return the median in milliseconds."""
        return 1_000 * sorted(latencies)[len(latencies) // 2]


def request(port: int, body: dict[str, object], headers: dict[str, str]) -> bytes:
    """Return the bytes of a POST to the chat completions."""
    payload = json.dumps(body).encode()
    fields = {"host": f"127.0.0.1:{port}", "content-type": "application/json", "content-length": str(len(payload))}
    head = "".join(f"{name}: {value}\r\n" for name, value in {**fields, **headers}.items())
    return b"POST /v1/chat/completions HTTP/1.1\r\n" + head.encode() + b"\r\n" + payload


def closing(key: str) -> dict[str, str]:
    """Return the headers of a request with a key, after whose answer the server closes the connection."""
    return {"authorization": f"Bearer {key}", "connection": "close"}


async def once(port: int, message: bytes) -> tuple[int, bytes]:
    """Send one ``closing`` request and return the status and what followed the head; 0 if the connection broke."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(message)
            head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
    except OSError:
        return 0, b""
    status = head[9:12]
    return int(status) if status.isdigit() else 0, rest


async def run(port: int, message: bytes, *, clients: int, requests: int) -> Result:
    """Send ``requests`` in all from ``clients`` connections, each one after the other."""
    result = Result()
    async with asyncio.timeout(LOAD_SECONDS):
        await asyncio.gather(*(_client(port, message, requests // clients, result) for _ in range(clients)))
    return result


async def _client(port: int, message: bytes, requests: int, result: Result) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    for _ in range(requests):
        started = time.perf_counter()
        writer.write(message)
        first = await _response(reader, result)
        result.first.append(first - started)
        result.whole.append(time.perf_counter() - started)
    writer.close()


async def _response(reader: asyncio.StreamReader, result: Result) -> float:
    """Read one response to its end; return when its first piece of content came."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b" 200 " not in head.partition(b"\r\n")[0]:
        result.failures += 1
    length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
    if length:
        await reader.readexactly(int(length))
        return time.perf_counter()
    first = 0.0
    while size := int(await reader.readline(), 16):
        piece = await reader.readexactly(size + 2)
        content = piece.count(b'"content":" token"')
        if content and not first:
            first = time.perf_counter()
        result.chunks += content
    await reader.readline()
    return first or time.perf_counter()
