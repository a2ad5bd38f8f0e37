"""What a hostile or broken client may cost, on either server."""

import json
import re
import socket
import threading
import time

import pytest

from tests.config.conftest import TinySite
from tests.patience import Stopwatch, until, within

MEGABYTE = 1_000_000
ALLOWED = 10 * MEGABYTE
UPLOAD = 400 * MEGABYTE
PIECE = b"x" * 65_536


def received(client: socket.socket) -> bytes:
    """Read until the server closes."""
    parts = []
    try:
        while part := client.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        parts.append(b"<reset>")
    return b"".join(parts)


def one_answer(client: socket.socket) -> bytes:
    """Read one answer by its Content-Length; head and body may come in separate segments."""
    answer = b""
    while not (length := re.search(rb"(?is)content-length: (\d+).*?\r\n\r\n", answer)) or (
        len(answer) < length.end() + int(length[1])
    ):
        part = client.recv(65_536)
        assert part, answer
        answer += part
    return answer


def sent_until_refused(client: socket.socket, piece: bytes) -> int:
    """Send up to UPLOAD bytes, as long as they are taken; return how many were."""
    sent = 0
    try:
        while sent < UPLOAD:
            client.sendall(piece)
            sent += len(piece)
    except (BrokenPipeError, ConnectionResetError):
        return sent
    return sent


def has_stopped_sending(tiny: TinySite) -> bool:
    """Whether nothing is sent for half a second."""
    sent = tiny.counts()["sent"]
    time.sleep(0.5)
    return tiny.counts()["sent"] == sent


def test_a_client_that_reads_nothing_costs_little_and_is_missed_when_it_goes(tiny: TinySite) -> None:
    before, gone = tiny.resident_bytes(), tiny.counts()["http.disconnect"]
    client = tiny.connect(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
    until(lambda: tiny.counts()["/endless"] and has_stopped_sending(tiny))
    assert tiny.resident_bytes() - before < ALLOWED
    client.close()
    within(1, lambda: tiny.counts()["http.disconnect"] > gone)


def test_a_slow_reader_gets_every_byte_once_it_reads(tiny: TinySite) -> None:
    before = tiny.counts()["sent"]
    with tiny.connect(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n") as client:
        time.sleep(0.5)
        waiting = tiny.counts()["sent"] - before
        read = 0
        while read < 2 * waiting:
            read += len(client.recv(1_000_000))
    assert read >= 2 * waiting


@pytest.mark.parametrize("head", [b"Content-Length: %d" % UPLOAD, b"Transfer-Encoding: chunked"])
def test_an_upload_of_400_mb_is_refused_early_and_costs_little(tiny: TinySite, head: bytes) -> None:
    piece = b"%x\r\n%s\r\n" % (len(PIECE), PIECE) if b"chunked" in head else PIECE
    before = tiny.resident_bytes()
    peak = [before]
    with tiny.connect(b"POST /upload HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n") as client:
        sender = threading.Thread(target=sent_until_refused, args=(client, piece))
        sender.start()
        answer = one_answer(client)
        while sender.is_alive():
            peak.append(tiny.resident_bytes())
            sender.join(0.01)
    assert max(peak) - before < ALLOWED
    top, _, body = answer.partition(b"\r\n\r\n")
    assert top.startswith(b"HTTP/1.1 413 ")
    assert b"x-request-id: req_" in top.lower()
    assert b"connection: close" in top.lower()
    error = json.loads(body)["error"]
    assert (error["code"], error["type"], error["param"]) == ("request_too_large", "invalid_request_error", None)
    assert error["doc_url"].endswith("/docs/errors#request_too_large")


def test_a_client_that_asks_before_it_sends_is_refused_without_sending(tiny: TinySite) -> None:
    request = b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\nExpect: 100-continue\r\n\r\n"
    with tiny.connect(request) as client:
        answer = received(client)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer


def test_a_request_that_no_application_hears_of_has_its_line_in_the_log(tiny: TinySite) -> None:
    head = b"POST /v1/chat%%0a?key=canary HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % UPLOAD
    with tiny.connect(head) as client:
        answer = received(client)
    assert b"cache-control: no-store" in answer
    found = re.search(r"x-request-id: (req_\w+)", answer.decode())
    assert found
    until(lambda: found[1] in tiny.errors)
    (line,) = (line for line in tiny.errors.splitlines() if found[1] in line)
    assert "POST /v1/chat%0A 413 " in line
    assert "error=request_too_large" in line
    assert "canary" not in line


@pytest.mark.parametrize("size", [0, 1, 8_191, 8_192, 100_000, 2_000_000])
def test_a_body_up_to_the_limit_arrives_whole(tiny: TinySite, size: int) -> None:
    head = b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % size
    with tiny.connect(head + b"x" * size) as client:
        assert received(client).endswith(b"\r\n\r\n%d" % size)


def test_a_chunked_body_up_to_the_limit_arrives_whole(tiny: TinySite) -> None:
    head = b"POST /upload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (50_000, b"x" * 50_000) for _ in range(40))
    with tiny.connect(head + chunks + b"0\r\n\r\n") as client:
        assert received(client).endswith(b"\r\n\r\n2000000")


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"GET /counts HTTP/1.1\r\nHost: localhost\r\n",
        b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nx",
    ],
)
def test_a_request_that_is_never_finished_is_cut(tiny: TinySite, beginning: bytes) -> None:
    began = time.monotonic()
    with tiny.connect(beginning) as client, Stopwatch() as watch:
        assert received(client) in (b"", b"<reset>")
    assert time.monotonic() - began > 0.5
    assert watch.seconds < 4


def test_a_byte_now_and_then_does_not_buy_time(tiny: TinySite) -> None:
    with tiny.connect(b"GET /counts HTTP/1.1\r\nX-Slow: ") as client:
        within(4, lambda: not _try_to_send(client, b"x"))


def test_a_connection_without_another_request_is_closed(tiny: TinySite) -> None:
    began = time.monotonic()
    with tiny.connect(b"GET /counts HTTP/1.1\r\nHost: localhost\r\n\r\n") as client:
        assert one_answer(client).startswith(b"HTTP/1.1 200 ")
        with Stopwatch() as watch:
            assert received(client) in (b"", b"<reset>")
    assert time.monotonic() - began > 0.5
    assert watch.seconds < 4


def test_two_requests_on_one_connection_are_answered_in_turn(tiny: TinySite) -> None:
    with tiny.connect(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2) as client:
        answer = b""
        while answer.count(b"done") < 2:
            part = client.recv(65_536)
            assert part
            answer += part


@pytest.mark.parametrize(
    "head",
    [
        b"nonsense\r\n\r\n",
        b"GET /counts HTTP/1.1\r\n" + b"X: y\r\n" * 1_000 + b"\r\n",
        b"GET /counts HTTP/1.1\r\nX: " + b"y" * 1_000_000,
        b"GET /counts HTTP/1.1\r\n" + b"X: %s\r\n" % (b"y" * 10_000) * 10 + b"\r\n",
        b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["nonsense", "many headers", "endless header", "large headers", "two lengths"],
)
def test_a_bad_head_is_refused_in_the_shape_of_every_error(tiny: TinySite, head: bytes) -> None:
    before = tiny.resident_bytes()
    with tiny.connect() as client:
        sender = threading.Thread(target=lambda: _try_to_send(client, head))
        sender.start()
        answer = received(client)
        sender.join()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.split(b"\r\n\r\n")[1])["error"]["code"] == "bad_request"
    assert tiny.resident_bytes() - before < ALLOWED


def test_trailers_without_an_end_are_refused(tiny: TinySite) -> None:
    head = b"POST /slow HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "
    before = tiny.resident_bytes()
    with tiny.connect(head) as client:
        sender = threading.Thread(target=sent_until_refused, args=(client, PIECE))
        sender.start()
        answer = one_answer(client)
        sender.join()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert tiny.resident_bytes() - before < ALLOWED


@pytest.mark.parametrize("path", [b"/broken", b"/half"])
def test_no_client_waits_for_an_application_that_has_gone(tiny: TinySite, path: bytes) -> None:
    with tiny.connect(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n") as client:
        answer = received(client)
    if path == b"/broken":
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert b"ZeroDivisionError" not in answer
    else:
        assert not answer.endswith(b"0\r\n\r\n")


def _try_to_send(client: socket.socket, data: bytes) -> bool:
    """Send, unless the server has closed."""
    try:
        client.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True
