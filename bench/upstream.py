"""A model server that costs almost nothing: TGI's bytes, prepared beforehand, at a set pace.

    python -m bench.upstream --tokens 100 --between 0.01

Prints its port. ``tests/fakes/tgi.py`` is the faithful fake; this one only has to be faster than what is measured.
"""

import argparse
import asyncio
from typing import cast

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_CHUNK = (
    b'data: {"object":"chat.completion.chunk","id":"","created":1741265133,"model":"M",'
    b'"system_fingerprint":"3.3.7-native",'
)
_EVENT = _CHUNK + (
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":" token"},"logprobs":null,"finish_reason":%s}],'
    b'"usage":null}\n\n'
)
_USAGE = _CHUNK + b'"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":%d,"total_tokens":%d}}\n\n'


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Upstream(asyncio.Protocol):
    """One connection; answers each request with the same stream."""

    def __init__(self, tokens: int, between_seconds: float) -> None:
        self._between_seconds = between_seconds
        self._event = _framed(_EVENT % b"null")
        self._last = _framed(_EVENT % b'"length"') + _framed(_USAGE % (tokens, tokens + 20))
        self._last += _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"
        self._tokens = tokens
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer once the request is whole."""
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if separator and len(body) >= int(length or 0):
            self._received = b""
            self._answer()

    def _answer(self) -> None:
        if not self._between_seconds:
            self._transport.write(_HEAD + self._event * (self._tokens - 1) + self._last)
            return
        self._transport.write(_HEAD + self._event)
        self._schedule(self._tokens - 1)

    def _schedule(self, left: int) -> None:
        asyncio.get_running_loop().call_later(self._between_seconds, self._next, left)

    def _next(self, left: int) -> None:
        if self._transport.is_closing():
            return
        if left > 1:
            self._transport.write(self._event)
            self._schedule(left - 1)
        else:
            self._transport.write(self._last)


async def _serve(tokens: int, between_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(tokens, between_seconds), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--between", type=float, default=0.0, help="seconds between tokens; 0: all in one write")
    options = parser.parse_args()
    try:
        import uvloop

        uvloop.run(_serve(options.tokens, options.between))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
