"""``serve --workers N``: several web processes on one socket, as an operator and his clients meet them."""

import asyncio
import itertools
import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx2
import psutil
import pytest

from accounts.models import ApiKey
from credits import ledger
from credits.models import Entry, Hold
from tests.crew import Crew, name_in
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import HELLO, MODEL, asked, cost_nano, register
from tests.patience import PATIENCE_SECONDS, eventually, until, within
from tests.proofs.customers import Customer, customer
from tests.site import Serve, Site

pytestmark = pytest.mark.django_db(transaction=True)

DOLLAR_NANO = 1_000_000_000
CREWS = [pytest.param(2, "daphne", marks=pytest.mark.at_length), (3, "uvicorn")]


@pytest.fixture
def tgi(transactional_db: None) -> Iterator[FakeTgi]:
    """A callable model with places for everybody."""
    with FakeTgi() as engine:
        register(engine, concurrency=400)
        yield engine


@pytest.fixture
def who(tgi: FakeTgi) -> Customer:
    """Who calls."""
    return customer(DOLLAR_NANO)


def body(**more: int) -> dict[str, object]:
    return {"model": MODEL, "messages": HELLO, **more}


def ask(client: httpx2.Client, **more: int) -> httpx2.Response:
    return client.post("/v1/chat/completions", json=body(**more))


class Stream(threading.Thread):
    """A client that reads a stream to its end, however that comes."""

    def __init__(self, client: httpx2.Client) -> None:
        super().__init__()
        self.began = threading.Event()
        self.text = ""
        self.is_broken = False
        self._client = client
        self.start()

    def run(self) -> None:
        """Read."""
        try:
            with self._client.stream("POST", "/v1/chat/completions", json=body(stream=True)) as answer:
                for line in answer.iter_lines():
                    self.text += line
                    self.began.set()
        except httpx2.TransportError:
            self.is_broken = True


def nothing_is_held() -> bool:
    return not Hold.objects.filter(state=Hold.State.OPEN).exists()


@pytest.mark.parametrize(("workers", "server"), CREWS)
def test_requests_spread_and_the_numbers_of_all_workers_add_up(
    tmp_path: Path, who: Customer, workers: int, server: str
) -> None:
    with Crew(tmp_path, workers, server) as crew:
        assert f"{workers} web processes serve it." in crew.site.output
        with crew.clients(who.secret) as clients:
            assert len(clients) == workers
            for client in clients.values():
                assert [ask(client, max_tokens=5).status_code for _ in range(3)] == [200] * 3
            pages = {client.get("/metrics").text for client in clients.values()}
        for page in pages:
            counted = re.findall(rf'^parley_requests_total{{ending="length",model="{MODEL}"}} (\S+)$', page, re.M)
            assert [float(count) for count in counted] == [3 * workers]
        assert crew.site.stop() == 0


@pytest.mark.parametrize(("workers", "server"), CREWS)
def test_a_killed_worker_is_replaced_while_the_others_go_on(
    tmp_path: Path, tgi: FakeTgi, who: Customer, workers: int, server: str
) -> None:
    tgi.script.default_tokens, tgi.script.between = 40, 0.05
    with Crew(tmp_path, workers, server) as crew, crew.clients(who.secret) as clients:
        streams = {name: Stream(client) for name, client in clients.items()}
        for stream in streams.values():
            assert stream.began.wait(PATIENCE_SECONDS)
        victim, *others = clients
        before = crew.workers
        before[victim].kill()
        # New connections are taken by the others at once.
        assert httpx2.get(f"{crew.site.url}/healthz").status_code == 200
        for stream in streams.values():
            stream.join()
        assert streams[victim].is_broken
        assert all("[DONE]" in streams[name].text for name in others)
        until(lambda: len(crew.workers) == workers)
        assert crew.workers.keys() - before.keys()
        # What it had held is free long before it would expire.
        until(nothing_is_held)
        assert Entry.objects.filter(account=who.team.pk, kind=Entry.Kind.CHARGE).count() == len(others)
        tgi.script.between = 0
        with crew.clients(who.secret) as again:
            assert all(ask(client).status_code == 200 for client in again.values())
    assert "ended (exit code -9); it starts again in 0.2 s" in crew.site.output


@pytest.mark.parametrize(("workers", "server"), CREWS)
def test_sigterm_ends_the_tree_and_charges_what_was_delivered(
    tmp_path: Path, tgi: FakeTgi, who: Customer, workers: int, server: str
) -> None:
    tgi.script.endless, tgi.script.between = True, 0.02
    with Crew(tmp_path, workers, server, SHUTDOWN_SECONDS="1") as crew:
        tree = crew.site.process.children(recursive=True)
        with crew.clients(who.secret) as clients:
            streams = [Stream(client) for client in clients.values()]
            for stream in streams:
                assert stream.began.wait(PATIENCE_SECONDS)
            assert crew.site.stop() == 0
            for stream in streams:
                stream.join()
        assert not any(process.is_running() for process in tree)
        assert crew.site.output.endswith("Parley has ended.\n")
        assert "Warning" not in crew.site.output
    assert nothing_is_held()
    assert Entry.objects.filter(kind=Entry.Kind.CHARGE, amount_nano__lt=0).count() == workers


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_a_killed_parent_leaves_no_orphan_and_no_debt(tmp_path: Path, tgi: FakeTgi, who: Customer, server: str) -> None:
    tgi.script.endless, tgi.script.between = True, 0.02
    with Crew(tmp_path, 2, server, SHUTDOWN_SECONDS="1") as crew:
        tree = crew.site.process.children(recursive=True)
        with crew.clients(who.secret) as clients:
            stream = Stream(next(iter(clients.values())))
            assert stream.began.wait(PATIENCE_SECONDS)
            crew.site.kill()
            _, alive = psutil.wait_procs(tree, timeout=PATIENCE_SECONDS)
            assert not alive
            stream.join()
    assert nothing_is_held()
    assert Entry.objects.filter(kind=Entry.Kind.CHARGE, amount_nano__lt=0).count() == 1


@pytest.mark.parametrize(("workers", "server"), CREWS)
def test_a_limit_holds_over_all_workers_for_requests_in_the_same_instant(
    tmp_path: Path, tgi: FakeTgi, who: Customer, workers: int, server: str
) -> None:
    tgi.script.silent_after, tgi.script.let_go = 0, threading.Event()
    with Crew(tmp_path, workers, server, PROJECT_CONCURRENCY="3") as crew:
        answers = asyncio.run(_ask_at_once(crew, who, 10 * workers, tgi.script.let_go))
        assert Counter(answer.status_code for answer in answers) == {200: 3, 429: 10 * workers - 3}
        assert {name_in(answer) for answer in answers} == crew.workers.keys()
        assert len(asked(tgi)) == 3
        with crew.clients(who.secret) as clients:
            assert all(ask(client).status_code == 200 for client in clients.values())


async def _ask_at_once(crew: Crew, who: Customer, count: int, let_go: threading.Event) -> list[httpx2.Response]:
    """Send requests over connections of their own, which are open before the first of them is sent.

    The engine is let go once only those that it is to answer are left.
    """
    headers = {"authorization": f"Bearer {who.secret}"}
    clients = [httpx2.AsyncClient(base_url=crew.site.url, headers=headers, timeout=60) for _ in range(count)]
    for client, worker in zip(clients, itertools.cycle(crew.workers)):
        with crew.only(worker):
            await client.get("/healthz")
    asking = [asyncio.create_task(client.post("/v1/chat/completions", json=body())) for client in clients]
    await eventually(lambda: sum(task.done() for task in asking) >= count - 3)
    let_go.set()
    answers = await asyncio.gather(*asking)
    for client in clients:
        await client.aclose()
    return answers


def test_the_places_of_a_killed_worker_are_free_again(tmp_path: Path, tgi: FakeTgi, who: Customer) -> None:
    tgi.script.before_first = 30
    with Crew(tmp_path, 2, PROJECT_CONCURRENCY="1") as crew, crew.clients(who.secret) as clients:
        victim, other = clients
        waiting = Stream(clients[victim])
        until(lambda: asked(tgi))
        assert ask(clients[other]).status_code == 429
        tgi.script.before_first = 0
        crew.workers[victim].kill()
        waiting.join()
        until(lambda: ask(clients[other]).status_code == 200)


def test_revocation_and_grants_reach_all_workers(tmp_path: Path, tgi: FakeTgi) -> None:
    who = customer(cost_nano(10))
    with Crew(tmp_path, 3) as crew, crew.clients(who.secret) as clients:

        def statuses() -> set[int]:
            return {ask(client, max_tokens=10).status_code for client in clients.values()}

        assert ask(next(iter(clients.values())), max_tokens=10).status_code == 200
        assert statuses() == {402}
        ledger.grant(who.team.pk, DOLLAR_NANO, reason="more", actor="tests")
        assert statuses() == {200}
        key = ApiKey.objects.get(pk=who.key_id)
        key.revoke()
        within(2, lambda: statuses() == {401})


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_a_signal_to_the_whole_tree_leaves_it_patient_until_ctrl_c(
    tmp_path: Path, tgi: FakeTgi, who: Customer, server: str
) -> None:
    tgi.script.endless, tgi.script.between = True, 0.02
    with Crew(tmp_path, 2, server, SHUTDOWN_SECONDS="60") as crew, crew.clients(who.secret) as clients:
        streams = [Stream(client) for client in clients.values()]
        for stream in streams:
            assert stream.began.wait(PATIENCE_SECONDS)
        # As systemd ends a service: everyone is told, the workers by their parent once more.
        for process in (*crew.workers.values(), crew.site.process):
            process.send_signal(signal.SIGTERM)
        with pytest.raises(psutil.TimeoutExpired):
            psutil.Process(crew.site.process.pid).wait(1)
        assert _ctrl_c(crew.site) == 0
        for stream in streams:
            stream.join()
    assert nothing_is_held()


def _ctrl_c(site: Serve) -> int | None:
    """End a site that is ending already; again, where one process heard of this before it heard of that."""
    for _ in range(6):
        site.process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return site.wait(5)
    return None


def test_an_absurd_number_of_workers_is_refused(tmp_path: Path, tgi: FakeTgi) -> None:
    crew = Crew(tmp_path, 2)
    crew.site.folder.mkdir(exist_ok=True)
    crew.site.launch("--workers", "65")
    assert crew.site.wait(PATIENCE_SECONDS) == 2
    assert "argument --workers: '65' is not a whole number from 1 to 64" in crew.site.output


def test_the_embedded_engine_answers_through_the_workers(tmp_path: Path) -> None:
    # With the whole context, a model that does not find its end takes minutes.
    with Site(tmp_path, WORKERS="2", EMBEDDED_CONTEXT_TOKENS="512") as site:
        tree = site.process.children(recursive=True)
        assert len(tree) == 3
        assert site.engine in tree
        streamed = subprocess.run(["bash", "-c", site.curl], capture_output=True, text=True, timeout=60, check=True)
        assert streamed.stdout.rstrip().endswith("data: [DONE]")
        assert "PostgreSQL (DATABASE_URL) suits them better" in site.output
        assert site.stop() == 0
        assert not any(process.is_running() for process in tree)
