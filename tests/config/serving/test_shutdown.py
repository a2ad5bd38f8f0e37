"""How a server ends: calmly, in bounded time, with exit code 0."""

import json
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest
from django.conf import settings
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from credits.models import Hold
from inference.models import Run
from tests.config.conftest import TinySite
from tests.crew import Crew, Tab, open_socket, serve
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import DOLLAR, HELLO, MODEL, asked, cost_nano, register
from tests.patience import PATIENCE_SECONDS, Stopwatch, until
from tests.playground.tab import session_of
from tests.proofs.customers import Customer, customer
from tests.site import Serve

# Sooner than whoever waits for answers under way.
AT_ONCE_SECONDS = 4


def ended(site: TinySite) -> float:
    """Wait for a calm end, and return what it took."""
    with Stopwatch() as watch:
        assert site.process.wait(PATIENCE_SECONDS) == 0
    return watch.seconds


def is_closed(site: TinySite) -> bool:
    """Whether nobody listens any more."""
    try:
        site.connect().close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_at_once(tiny_to_end: TinySite, number: signal.Signals) -> None:
    with tiny_to_end.connect(b"GET /counts HTTP/1.1\r\nHost: localhost\r\n\r\n") as client:
        assert client.recv(65_536)
        tiny_to_end.process.send_signal(number)
        assert ended(tiny_to_end) < AT_ONCE_SECONDS


def test_an_answer_under_way_is_finished(tiny_to_end: TinySite) -> None:
    with tiny_to_end.connect(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n") as client:
        until(lambda: tiny_to_end.counts()["/slow"])
        tiny_to_end.process.send_signal(signal.SIGTERM)
        answer = b""
        while part := client.recv(65_536):
            answer += part
    assert answer.endswith(b"done")
    assert tiny_to_end.process.wait(PATIENCE_SECONDS) == 0


def test_an_application_that_does_not_end_is_cancelled_and_cleans_up(tiny_to_end: TinySite) -> None:
    with tiny_to_end.connect(b"GET /stuck HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        until(lambda: tiny_to_end.counts()["/stuck"])
        tiny_to_end.process.send_signal(signal.SIGTERM)
        assert tiny_to_end.process.wait(PATIENCE_SECONDS) == 0
    assert tiny_to_end.output.read().split("\n")[:2] == ["cancelled", "shut down"]


def test_a_socket_is_asked_to_come_back_later(tiny_to_end: TinySite) -> None:
    with connect(f"ws://127.0.0.1:{tiny_to_end.port}/echo") as client:
        threading.Timer(0.3, tiny_to_end.process.send_signal, [signal.SIGTERM]).start()
        with pytest.raises(ConnectionClosed) as closed:
            client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert tiny_to_end.process.wait(PATIENCE_SECONDS) == 0


def test_a_second_signal_takes_the_patience_away(tiny_to_end: TinySite) -> None:
    with tiny_to_end.connect(b"GET /stuck HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        until(lambda: tiny_to_end.counts()["/stuck"])
        tiny_to_end.process.send_signal(signal.SIGINT)
        until(lambda: is_closed(tiny_to_end))
        tiny_to_end.process.send_signal(signal.SIGINT)
        assert ended(tiny_to_end) < AT_ONCE_SECONDS


def test_whoever_takes_nothing_is_cut_and_the_application_hears_of_the_end(tiny_to_end: TinySite) -> None:
    with (
        tiny_to_end.connect(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        connect(f"ws://127.0.0.1:{tiny_to_end.port}/endless", close_timeout=0),
    ):
        until(lambda: tiny_to_end.counts()["sent"])
        tiny_to_end.process.send_signal(signal.SIGINT)
        until(lambda: is_closed(tiny_to_end))
        tiny_to_end.process.send_signal(signal.SIGINT)
        assert tiny_to_end.process.wait(PATIENCE_SECONDS) == 0
        assert tiny_to_end.output.read() == "shut down\n"


def test_the_application_hears_of_start_and_end(tiny_to_end: TinySite) -> None:
    assert tiny_to_end.counts()["lifespan.startup"] == 1
    tiny_to_end.process.send_signal(signal.SIGTERM)
    tiny_to_end.process.wait(PATIENCE_SECONDS)
    assert tiny_to_end.output.read() == "shut down\n"


class Asker(threading.Thread):
    """A client of ``/v1`` that reads an answer to its end; a connection that breaks off fails the test."""

    def __init__(self, url: str, who: Customer, *, stream: bool) -> None:
        super().__init__()
        self.status, self.text = 0, ""
        self._client = httpx2.Client(
            base_url=url, headers={"authorization": f"Bearer {who.secret}"}, timeout=PATIENCE_SECONDS
        )
        self._body = {"model": MODEL, "messages": HELLO, "stream": stream}
        self.start()

    def run(self) -> None:
        """Read."""
        with self._client, self._client.stream("POST", "/v1/chat/completions", json=self._body) as answer:
            self.status = answer.status_code
            for text in answer.iter_text():
                self.text += text

    def answer(self) -> str:
        """Return the whole answer, once it has ended."""
        self.join(PATIENCE_SECONDS)
        return self.text


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_an_upload_that_does_not_go_on_is_cut_and_is_no_failure(tmp_path: Path, tgi: FakeTgi, server: str) -> None:
    with site_of(tmp_path, server, 0) as site:
        address = ("127.0.0.1", int(site.url.rpartition(":")[2]))
        with socket.create_connection(address, timeout=PATIENCE_SECONDS) as client:
            client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
            assert httpx2.get(f"{site.url}/healthz").status_code == 200
            assert site.stop() == 0
            assert not client.recv(65_536)
        assert "Traceback" not in site.output


class Person(NamedTuple):
    """Someone with a key, a login and a conversation."""

    customer: Customer
    session: str
    conversation: str


@pytest.fixture
def tgi(transactional_db: None) -> Iterator[FakeTgi]:
    """A callable model, whose answers stand still after three tokens until they are let go."""
    with FakeTgi() as engine:
        register(engine, concurrency=400)
        engine.script.silent_after, engine.script.let_go = 3, threading.Event()
        yield engine


@pytest.fixture
def who(tgi: FakeTgi) -> Person:
    """Who asks."""
    made = customer(DOLLAR)
    owner = made.team.members.get()
    conversation = owner.conversations.create(project=made.project, model=MODEL)
    return Person(made, session_of(owner), str(conversation.pk))


def site_of(folder: Path, server: str, shutdown_seconds: int) -> Serve:
    return serve(folder, server, SECRET_KEY=settings.SECRET_KEY, SHUTDOWN_SECONDS=str(shutdown_seconds))


def send(tab: Tab, who: Person) -> str:
    """Ask in the playground, and return the run's id once its answer has begun."""
    tab.say(type="send", ref="r", conversation=who.conversation, content="Go on")
    run: str = tab.hear("started")["run"]
    tab.hear("chunks")
    return run


def closed_with(tab: Tab) -> int | None:
    """Hear the rest, and return the code that the socket was closed with."""
    with pytest.raises(ConnectionClosed) as closed:
        tab.hear()
    return closed.value.rcvd.code if closed.value.rcvd else None


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_whoever_reads_when_patience_ends_is_told_and_pays_for_what_came(
    tmp_path: Path, tgi: FakeTgi, who: Person, server: str
) -> None:
    with site_of(tmp_path, server, 1) as site, open_socket(site.url, who.session) as socket:
        tab = Tab(socket)
        run = send(tab, who)
        streamed, whole = (Asker(site.url, who.customer, stream=stream) for stream in (True, False))
        until(lambda: "The quick brown" in "".join(_words(streamed.text)))
        until(lambda: all(request.tokens_sent == 3 for request in asked(tgi)) and len(asked(tgi)) == 3)
        assert site.stop() == 0
        *_, error, done = streamed.answer().strip().split("\n\n")
        assert json.loads(error.removeprefix("data: "))["error"]["code"] == "engine_unavailable"
        assert done == "data: [DONE]"
        assert json.loads(whole.answer())["error"]["code"] == "engine_unavailable"
        assert whole.status == 503
        failed = tab.hear("failed", "ended")
        assert (failed["run"], failed["error"]["code"]) == (run, "engine_unavailable")
        assert failed["message"]["content"] == "".join(tab.chunks(run).values()) == "The quick brown"
        assert closed_with(tab) == 1012
        assert "Cancelling" not in site.output
    receipts = Run.objects.all()
    assert Counter((receipt.ending, receipt.error) for receipt in receipts) == {("shutdown", "EngineUnavailable"): 3}
    assert Counter(receipt.delivered_tokens for receipt in receipts) == {3: 2, 0: 1}
    assert cost_nano(3) in [receipt.cost_nano for receipt in receipts]
    assert not Hold.objects.filter(state=Hold.State.OPEN).exists()


def _words(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.startswith("data: {"):
            yield from (choice["delta"].get("content", "") for choice in json.loads(line[6:]).get("choices", []))


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_nothing_new_is_taken_while_an_answer_is_told_to_its_end(
    tmp_path: Path, tgi: FakeTgi, who: Person, server: str
) -> None:
    site = site_of(tmp_path, server, 60)
    with site, open_socket(site.url, who.session) as busy, open_socket(site.url, who.session) as idle:
        tab, program = Tab(busy), httpx2.Client(base_url=site.url)
        run = send(tab, who)
        with program:
            assert program.get("/healthz").status_code == 200
            site.process.send_signal(signal.SIGTERM)
            assert closed_with(Tab(idle)) == 1012
            # Not on the connection that it has, and not on a new one.
            with pytest.raises(httpx2.ConnectError):
                program.get("/healthz")
        tab.say(type="send", ref="s", conversation=who.conversation, content="And I")
        refused = tab.hear("failed", "started")
        assert (refused["ref"], refused["draft"], refused["error"]["code"]) == ("s", "And I", "restarting")
        assert tgi.script.let_go
        tgi.script.let_go.set()
        assert tab.hear("ended", "failed")["message"]["state"] == "complete"
        assert closed_with(tab) == 1012
        assert site.wait() == 0
    assert Run.objects.get().pk == run


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_a_follower_in_another_process_is_told_when_both_end(
    tmp_path: Path, tgi: FakeTgi, who: Person, server: str
) -> None:
    with Crew(tmp_path, 2, server, SECRET_KEY=settings.SECRET_KEY, SHUTDOWN_SECONDS="1") as crew:
        one, other = crew.workers
        with crew.tab(who.session, one) as tab, crew.tab(who.session, other) as follower:
            run = send(tab, who)
            follower.say(type="attach", run=run, after=0)
            follower.hear("chunks")
            asking = [Asker(crew.site.url, who.customer, stream=True) for _ in range(2)]
            until(lambda: all("brown" in asker.text for asker in asking))
            assert crew.site.stop() == 0
            for socket in (tab, follower):
                assert socket.hear("failed", "ended")["error"]["code"] == "engine_unavailable"
                assert closed_with(socket) == 1012
            for asker in asking:
                assert asker.answer().endswith("data: [DONE]\n\n")
                assert '"engine_unavailable"' in asker.text
    assert [receipt.ending for receipt in Run.objects.all()] == ["shutdown"] * 3
