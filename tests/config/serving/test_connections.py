"""How many may be connected, who makes room for whom, and when clients that are gone or do nothing are missed."""

import re
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.config.conftest import TinySite
from tests.config.serving.test_abuse import FRAMES, frame
from tests.config.serving.test_bounds import one_answer, received
from tests.patience import until

Build = Callable[..., TinySite]
GET = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(params=["daphne", "uvicorn"])
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Build]:
    """Start the small application with settings of a test's own."""
    with ExitStack() as stack:

        def build(**options: object) -> TinySite:
            site = TinySite(request.param, tmp_path, **options)  # type: ignore[arg-type]
            stack.callback(site.stop)
            return site

        yield build


def ask(client: socket.socket, path: bytes = b"counts") -> bytes:
    client.sendall(GET % path)
    return one_answer(client)


def test_an_idle_connection_makes_room_for_a_new_one_of_its_address(build: Build) -> None:
    site = build(CONNECTIONS_PER_ADDRESS="4", REQUEST_HEAD_SECONDS="60", KEEP_ALIVE_SECONDS="60")
    with ExitStack() as stack:
        asked, *silent = [stack.enter_context(site.connect()) for _ in range(4)]
        assert ask(asked).startswith(b"HTTP/1.1 200 ")
        newcomer = stack.enter_context(site.connect())
        assert ask(newcomer).startswith(b"HTTP/1.1 200 ")
        # Whoever never asked for anything goes first, and the longest of them before all.
        assert received(silent[0]) in (b"", b"<reset>")
        assert ask(asked).startswith(b"HTTP/1.1 200 ")


def test_connections_beyond_the_limit_are_refused_while_all_others_are_busy(build: Build) -> None:
    site = build(CONNECTIONS_PER_ADDRESS="4")
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(site.connect(GET % b"stuck"))
        last = stack.enter_context(site.connect())
        until(lambda: b'"/stuck": 3' in ask(last))
        last.sendall(GET % b"endless")
        assert last.recv(65_536)
        with site.connect() as one_too_many:
            answer = received(one_too_many)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b'"code":"too_many_connections"' in answer
        assert b"retry-after: 2" in answer.lower()
    until(lambda: is_served(site))


def is_served(site: TinySite) -> bool:
    """Whether a new connection is taken."""
    with suppress(ConnectionError), site.connect(GET % b"counts") as client:
        return client.recv(65_536).startswith(b"HTTP/1.1 200 ")
    return False


def test_files_are_kept_for_what_is_no_client(build: Build) -> None:
    site = build(most_files=256, REQUEST_HEAD_SECONDS="60")
    with ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(site.connect())
        until(lambda: is_served(site))
        assert len(list(Path(f"/proc/{site.process.pid}/fd").iterdir())) < 200
    assert not site.errors


def test_a_client_that_reads_nothing_is_cut_in_time(build: Build) -> None:
    site = build(READER_SECONDS="1")
    with site.connect(GET % b"endless"), site.open_socket("/endless"):
        until(lambda: site.counts()["http.disconnect"] and site.counts()["websocket.disconnect"])


def test_a_few_frames_pass_beside_a_flood_from_the_same_address(build: Build) -> None:
    site = build()
    with ExitStack() as stack:
        honest = stack.enter_context(site.open_socket("/echo"))
        for _ in range(12):
            flood = stack.enter_context(site.open_socket("/echo"))
            flood.sendall(frame(1, b"x") * 250)
        # The last of them had nothing left, though it sent less than one connection may.
        assert FRAMES in received(flood)
        honest.recv(65_536)
        honest.sendall(frame(1, b"hello"))
        assert b"hello" in honest.recv(65_536)


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's table of connections")
def test_a_client_that_vanishes_is_asked_whether_it_is_there(build: Build) -> None:
    site = build(KEEP_ALIVE_SECONDS="60")
    with site.connect() as client:
        assert ask(client)
        ours, theirs = (f":{port:04X}" for port in (site.port, client.getsockname()[1]))
        table = Path("/proc/net/tcp").read_text()
        # The timer's kind: 02 is the one that keeps a connection alive.
        assert re.search(rf"{ours} \w+{theirs} \w+ \w+:\w+ 02:", table)
