"""WebSockets on either server: that they work, and that neither end can fill the memory."""

import time

import pytest
from channels.testing import WebsocketCommunicator
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from config.asgi import application
from config.serving.daphne_websocket import WebSocket
from tests.config.conftest import TinySite
from tests.patience import until, within

ALLOWED = 10_000_000
# A frame of a megabyte, "masked" with zeros.
FRAME = b"\x81\xff" + (1_000_000).to_bytes(8) + bytes(4) + b"x" * 1_000_000


def test_messages_go_both_ways_and_closing_is_heard(tiny: TinySite) -> None:
    closed = tiny.counts()["closed 1000"]
    with connect(f"ws://127.0.0.1:{tiny.port}/echo") as client:
        for number in range(100):
            client.send(f"message {number}")
        assert [client.recv() for _ in range(100)] == [f"message {number}" for number in range(100)]
    until(lambda: tiny.counts()["closed 1000"] > closed)


def test_a_reader_that_reads_nothing_costs_little_and_is_missed_when_it_goes(tiny: TinySite) -> None:
    before, gone = tiny.resident_bytes(), tiny.counts()["websocket.disconnect"]
    client = tiny.open_socket("/endless")
    time.sleep(1.5)
    assert tiny.resident_bytes() - before < ALLOWED
    client.close()
    within(1, lambda: tiny.counts()["websocket.disconnect"] > gone)


def test_a_client_that_says_goodbye_in_mid_stream_is_missed(tiny: TinySite) -> None:
    gone = tiny.counts()["websocket.disconnect"]
    with tiny.open_socket("/endless") as client:
        client.recv(65_536)
        client.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
        while client.recv(1_000_000):
            pass
    within(1, lambda: tiny.counts()["websocket.disconnect"] > gone)


def test_sending_on_a_daphne_socket_that_is_closed_fails_as_asgi_says() -> None:
    socket = WebSocket()
    socket.state, socket.client_addr = WebSocket.STATE_CLOSED, None
    with pytest.raises(ConnectionError):
        socket.serverSend("too late")


def test_an_application_that_reads_nothing_is_not_flooded(tiny: TinySite) -> None:
    before = tiny.resident_bytes()
    with tiny.open_socket("/deaf") as client:
        client.settimeout(1)
        sent = 0
        try:
            while sent < 400:
                client.sendall(FRAME)
                sent += 1
        except TimeoutError:
            assert sent < 100
        assert sent < 400
        assert tiny.resident_bytes() - before < ALLOWED


def test_a_message_above_the_limit_closes_the_socket(tiny: TinySite) -> None:
    with connect(f"ws://127.0.0.1:{tiny.port}/echo") as client:
        client.send("x" * 2_000_001)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


@pytest.mark.parametrize("code", [1008, 1011, 4401])
def test_an_application_closes_with_any_code(tiny: TinySite, code: int) -> None:
    with connect(f"ws://127.0.0.1:{tiny.port}/echo") as client:
        client.send(f"close {code}")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


def test_one_endless_frame_costs_little(tiny: TinySite) -> None:
    before = tiny.resident_bytes()
    with tiny.open_socket("/echo") as client:
        try:
            client.sendall(b"\x81\xff" + (400_000_000).to_bytes(8) + bytes(4))
            for _ in range(400):
                client.sendall(b"x" * 1_000_000)
        except OSError:
            client.close()
        assert tiny.resident_bytes() - before < ALLOWED


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/ws/playground/", "/v1/chat/completions"])
async def test_a_socket_to_anywhere_else_is_refused_without_a_word(path: str, caplog: pytest.LogCaptureFixture) -> None:
    stranger = WebsocketCommunicator(application, path, headers=[(b"origin", b"https://evil.test")])
    connected, _ = await stranger.connect()
    assert not connected
    assert not caplog.records
