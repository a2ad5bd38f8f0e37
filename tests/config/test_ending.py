"""How a server ends: calmly, in bounded time, with exit code 0."""

import signal
import threading
import time

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.config.conftest import TinySite


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_at_once(tiny_to_end: TinySite, number: signal.Signals) -> None:
    with tiny_to_end.connect(b"GET /counts HTTP/1.1\r\nHost: localhost\r\n\r\n") as client:
        assert client.recv(65_536)
        tiny_to_end.process.send_signal(number)
        assert tiny_to_end.process.wait(1.5) == 0


def test_an_answer_under_way_is_finished(tiny_to_end: TinySite) -> None:
    with tiny_to_end.connect(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n") as client:
        time.sleep(0.3)
        tiny_to_end.process.send_signal(signal.SIGTERM)
        answer = b""
        while part := client.recv(65_536):
            answer += part
    assert answer.endswith(b"done")
    assert tiny_to_end.process.wait(3) == 0


def test_an_application_that_does_not_end_is_cancelled_and_cleans_up(tiny_to_end: TinySite) -> None:
    with tiny_to_end.connect(b"GET /stuck HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        time.sleep(0.3)
        tiny_to_end.process.send_signal(signal.SIGTERM)
        assert tiny_to_end.process.wait(5) == 0
    assert tiny_to_end.output.read().split("\n")[:2] == ["cancelled", "shut down"]


def test_a_socket_is_asked_to_come_back_later(tiny_to_end: TinySite) -> None:
    with connect(f"ws://127.0.0.1:{tiny_to_end.port}/echo") as client:
        threading.Timer(0.3, tiny_to_end.process.send_signal, [signal.SIGTERM]).start()
        with pytest.raises(ConnectionClosed) as closed:
            client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert tiny_to_end.process.wait(3) == 0


def test_a_second_signal_takes_the_patience_away(tiny_to_end: TinySite) -> None:
    with tiny_to_end.connect(b"GET /stuck HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        time.sleep(0.3)
        tiny_to_end.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        tiny_to_end.process.send_signal(signal.SIGINT)
        assert tiny_to_end.process.wait(1.5) == 0


def test_the_application_hears_of_start_and_end(tiny_to_end: TinySite) -> None:
    assert tiny_to_end.counts()["lifespan.startup"] == 1
    tiny_to_end.process.send_signal(signal.SIGTERM)
    tiny_to_end.process.wait(3)
    assert tiny_to_end.output.read() == "shut down\n"
