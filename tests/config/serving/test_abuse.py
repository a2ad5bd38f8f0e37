"""Every way to have a server hold bytes or do work for nothing, on either server: what it costs, and how it ends."""

import socket
import threading
from typing import NamedTuple

import pytest
from django.conf import settings

from tests.config.conftest import UPGRADE, TinySite
from tests.config.serving.test_bounds import received
from tests.patience import PATIENCE_SECONDS

# What an attacker sends, unless it is stopped.
SENT_BYTES = 20_000_000
ATTACKERS = 8
# By how much the process may grow, whatever is sent: each may have one message under way.
ALLOWED_BYTES = 8_000_000 + ATTACKERS * settings.MAX_BODY_BYTES
HEAD = b" HTTP/1.1\r\nHost: localhost\r\n"


def frame(opcode: int, payload: bytes = b"", *, is_last: bool = True) -> bytes:
    """Write a client's frame, "masked" with zeros."""
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2)
    return bytes([(0x80 if is_last else 0) | opcode]) + length + bytes(4) + payload


class Abuse(NamedTuple):
    """What is sent once and then again and again, over HTTP or on a WebSocket, and how the server ends it."""

    again: bytes
    first: bytes = b""
    # Where it goes as a WebSocket; nothing for HTTP.
    path: str = ""
    # In what the server says before it hangs up; nothing where it need not end.
    reason: bytes = b""


PIECES = b"too many small pieces"
FRAMES = b"\x03\xf0Too many frames"
CHUNKED = b"POST /upload" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
ABUSES = {
    "pipelined requests": Abuse(b"GET /counts" + HEAD + b"\r\n", reason=b""),
    "requests behind one that is never answered": Abuse(
        b"GET /counts" + HEAD + b"\r\n", first=b"GET /stuck" + HEAD + b"\r\n"
    ),
    "bodies behind one that is never answered": Abuse(
        b"POST /upload" + HEAD + b"Content-Length: 900000\r\n\r\n" + b"x" * 900_000,
        first=b"GET /stuck" + HEAD + b"\r\n",
    ),
    "a body that nobody reads": Abuse(b"x" * 10_000, first=b"POST /stuck" + HEAD + b"Content-Length: 1999999\r\n\r\n"),
    "chunks that nobody reads": Abuse(b"400\r\n" + b"x" * 1024 + b"\r\n", first=CHUNKED.replace(b"upload", b"stuck")),
    "a body in single bytes": Abuse(b"1\r\nx\r\n" * 1_000, first=CHUNKED, reason=PIECES),
    "chunk extensions": Abuse(b"1;" + b"x" * 500 + b"\r\nx\r\n", first=CHUNKED, reason=PIECES),
    "one endless chunk extension": Abuse(b"x" * 1_000, first=CHUNKED + b"1;", reason=b"HTTP/1.1 400 "),
    "empty lines": Abuse(b"\r\n" * 1_000, reason=b"HTTP/1.1 400 "),
    "headers": Abuse(b"x: y\r\n" * 100, first=b"GET /counts" + HEAD, reason=b"HTTP/1.1 400 "),
    "pings whose pongs nobody reads": Abuse(frame(9, b"p" * 125) * 50, path="/echo", reason=FRAMES),
    "pongs": Abuse(frame(10) * 1_000, path="/echo", reason=FRAMES),
    "empty fragments": Abuse(frame(0, is_last=False) * 1_000, frame(1, is_last=False), "/echo", FRAMES),
    "fragments": Abuse(frame(0, b"x" * 60_000, is_last=False), frame(1, is_last=False), "/echo"),
    "messages whose answers nobody reads": Abuse(frame(1, b"x" * 60_000), path="/echo"),
    "small messages": Abuse(frame(1, b"x") * 1_000, path="/echo", reason=FRAMES),
    "messages that nobody takes": Abuse(frame(1, b"x" * 1_000) * 50, path="/deaf"),
    "closing frames": Abuse(frame(8, b"\x03\xe8") * 1_000, path="/deaf"),
    "frames before the handshake is over": Abuse(frame(2, b"x" * 60_000), UPGRADE % b"/undecided"),
}


class Attacker(threading.Thread):
    """Sends as fast as it is read, until SENT_BYTES are sent or it is cut; reads only then."""

    def __init__(self, client: socket.socket, abuse: Abuse) -> None:
        super().__init__()
        client.settimeout(1)
        # Whoever reads nothing announces a small window.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._client = client
        self._abuse = abuse
        self.heard = b""
        self.start()

    def run(self) -> None:
        """Attack."""
        sent = 0
        # A broken pipe, a reset, or nothing taken for a second.
        try:
            self._client.sendall(self._abuse.first)
            while sent < SENT_BYTES:
                self._client.sendall(self._abuse.again)
                sent += len(self._abuse.again)
        except OSError:
            pass
        with self._client:
            if self._abuse.reason:
                self._client.settimeout(PATIENCE_SECONDS)
                self.heard = received(self._client)


@pytest.mark.parametrize("abuse", ABUSES.values(), ids=ABUSES)
def test_whatever_is_sent_costs_little_and_others_are_served(tiny: TinySite, abuse: Abuse) -> None:
    before = tiny.resident_bytes()
    peak = before
    attackers = [
        Attacker(tiny.open_socket(abuse.path) if abuse.path else tiny.connect(), abuse) for _ in range(ATTACKERS)
    ]
    while any(attacker.is_alive() for attacker in attackers):
        # A request of somebody else is answered in the midst of it.
        assert tiny.counts()["/counts"]
        peak = max(peak, tiny.resident_bytes())
        attackers[0].join(0.02)
    assert peak - before < ALLOWED_BYTES
    for attacker in attackers:
        assert abuse.reason in attacker.heard
    assert "Traceback" not in tiny.errors
