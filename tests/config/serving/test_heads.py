"""HTTP heads with absurd numbers, on either server: refused in the shape of every other error, and no traceback."""

import json

import pytest

from tests.config.conftest import TinySite
from tests.config.serving.test_bounds import received

POST = b"POST /upload HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
DIGITS = b"9" * 10_000
LENGTHS = [
    DIGITS,
    b"-1",
    b"+5",
    b"0x10",
    b"1e3",
    b"5 5",
    b"5, 5",
    b"5.0",
    b"",
    b"\xd9\xa5",
    b"18446744073709551616",
    b"1" + b"0" * 30,
]
CHUNK_SIZES = [DIGITS, b"10000000000000000", b"-1", b"+5", b"0x5", b"f" * 20, b"g", b"", b"1.5"]
VERSIONS = [
    b"HTTP/" + DIGITS + b".1",
    b"HTTP/1." + DIGITS,
    b"HTTP/-1.1",
    b"HTTP/1.1.1",
    b"HTTP/9.9",
    b"HTTP/2.0",
    b"HTTP/",
]
HEADS = {
    **{f"length {length[:20]!r}": POST + b"Content-Length: " + length + b"\r\n\r\nhello" for length in LENGTHS},
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    **{f"chunk {size[:20]!r}": CHUNKED + size + b"\r\nhello\r\n0\r\n\r\n" for size in CHUNK_SIZES},
    **{f"version {version[:20]!r}": b"GET /counts " + version + b"\r\nHost: localhost\r\n\r\n" for version in VERSIONS},
    "an endless method": b"G" * 20_000 + b" /counts HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an address that is not ASCII": b"GET /\xa9 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an unknown coding": POST + b"Transfer-Encoding: gzip\r\n\r\nhello",
    "a header without a name": b"GET /counts HTTP/1.1\r\nHost: localhost\r\n: x\r\n\r\n",
    "a control character": b"GET /counts HTTP/1.1\r\nHost: localhost\r\nX: a\x01b\r\n\r\n",
    "a space before the colon": b"GET /counts HTTP/1.1\r\nHost: localhost\r\nX : y\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", HEADS.values(), ids=HEADS)
def test_what_cannot_be_meant_is_refused(tiny: TinySite, request_bytes: bytes) -> None:
    with tiny.connect(request_bytes) as client:
        answer = received(client)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 ")), answer
    assert json.loads(answer.split(b"\r\n\r\n")[1])["error"]["code"] in ("bad_request", "request_too_large")
    assert all("parley.requests" in line for line in tiny.errors.splitlines())


@pytest.mark.parametrize(
    "headers",
    [
        b"Sec-WebSocket-Version: " + DIGITS,
        b"Sec-WebSocket-Version: -13",
        b"Sec-WebSocket-Version: 13\r\nOrigin: http://localhost:" + DIGITS,
        b"Sec-WebSocket-Version: 13\r\nOrigin: http://localhost:-1",
        b"Sec-WebSocket-Version: 13\r\nOrigin: http://[::1",
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: \xff\xfe",
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=" + DIGITS,
        b"Sec-WebSocket-Version: 13\r\nHost: localhost:" + DIGITS,
        b"Sec-WebSocket-Version: 13\r\nContent-Length: 5",
    ],
)
def test_a_handshake_that_cannot_be_meant_breaks_nothing(tiny: TinySite, headers: bytes) -> None:
    request = b"GET /echo HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + headers
    with tiny.connect(request + b"\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n") as client:
        status = client.recv(65_536).split()[1]
    assert status in (b"101", b"400", b"426")
    assert "Traceback" not in tiny.errors
