"""Several machines on one database and one Redis, as an operator and his clients meet them."""

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from django.conf import settings
from websockets.exceptions import InvalidStatus

from accounts import sign_in
from accounts.models import User
from playground.limits import MAX_SOCKETS_PER_USER
from tests.conftest import PASSWORD
from tests.crew import open_socket
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import HELLO, MODEL, asked, register
from tests.machines import Machines
from tests.patience import eventually, until
from tests.playground.tab import session_of
from tests.proofs.customers import Customer, customer
from tests.redis_server import RedisServer

# Machines share a PostgreSQL, never a file.
pytestmark = [pytest.mark.either_database, pytest.mark.postgresql_only, pytest.mark.django_db(transaction=True)]

DOLLAR_NANO = 1_000_000_000
BODY = {"model": MODEL, "messages": HELLO}


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


def status(client: httpx2.Client) -> int:
    return client.post("/v1/chat/completions", json=BODY).status_code


def hold_up(tgi: FakeTgi) -> threading.Event:
    """Have the engine say nothing to the requests that follow, until it is let go."""
    tgi.script.silent_after, tgi.script.let_go = 0, threading.Event()
    return tgi.script.let_go


def speak(tgi: FakeTgi) -> None:
    """Have the engine answer the requests that follow at once."""
    tgi.script.silent_after = None


class Asking(threading.Thread):
    """A request under way."""

    def __init__(self, client: httpx2.Client, tgi: FakeTgi) -> None:
        super().__init__()
        self._client = client
        self.status = 0
        before = len(asked(tgi))
        self.start()
        until(lambda: len(asked(tgi)) > before)

    def run(self) -> None:
        """Wait for the answer; 599: the site went away."""
        try:
            self.status = status(self._client)
        except httpx2.TransportError:
            self.status = 599


def processes_without_redis(client: httpx2.Client) -> float:
    (found,) = re.findall(r"^parley_redis_away(?:{.*})? (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return float(found)


def test_a_limit_holds_over_all_machines_for_requests_in_the_same_instant(
    tmp_path: Path, redis: RedisServer, tgi: FakeTgi, who: Customer
) -> None:
    let_go = hold_up(tgi)
    with Machines(tmp_path, redis, {"WORKERS": "2"}, PROJECT_CONCURRENCY="4") as machines:
        answers = asyncio.run(_ask_at_once(machines, who, 30, let_go))
        assert Counter(answers) == {200: 4, 429: 26}
        assert len(asked(tgi)) == 4
        speak(tgi)
        with machines.clients(who.secret) as clients:
            assert [status(client) for client in clients.values()] == [200] * 3


async def _ask_at_once(machines: Machines, who: Customer, count: int, let_go: threading.Event) -> list[int]:
    """Send requests to the machines in turn, over connections that are open before the first of them is sent."""
    headers = {"authorization": f"Bearer {who.secret}"}
    clients = [
        httpx2.AsyncClient(base_url=machines.sites[number % 3].url, headers=headers, timeout=60)
        for number in range(count)
    ]
    await asyncio.gather(*(client.get("/healthz") for client in clients))
    asking = [asyncio.create_task(client.post("/v1/chat/completions", json=BODY)) for client in clients]
    await eventually(lambda: sum(task.done() for task in asking) >= count - 4)
    let_go.set()
    answers = await asyncio.gather(*asking)
    for client in clients:
        await client.aclose()
    return [answer.status_code for answer in answers]


def test_the_places_of_a_killed_machine_are_free_again(
    tmp_path: Path, redis: RedisServer, tgi: FakeTgi, who: Customer
) -> None:
    let_go = hold_up(tgi)
    machines = Machines(tmp_path, redis, {"WORKERS": "2"}, PROJECT_CONCURRENCY="1")
    with machines, machines.clients(who.secret) as clients:
        one, other, victim = clients.values()
        asking = Asking(victim, tgi)
        assert status(one) == status(other) == 429
        for process in (machines.sites[2].process, *machines.sites[2].process.children()):
            process.kill()
        asking.join()
        assert asking.status == 599
        speak(tgi)
        let_go.set()
        until(lambda: status(one) == 200)
        assert status(other) == 200


def test_a_machine_that_ends_calmly_leaves_no_count(
    tmp_path: Path, redis: RedisServer, tgi: FakeTgi, who: Customer
) -> None:
    hold_up(tgi)
    machines = Machines(tmp_path, redis, PROJECT_CONCURRENCY="1", SHUTDOWN_SECONDS="0.5")
    with machines, machines.clients(who.secret) as clients:
        leaving, other = clients.values()
        asking = Asking(leaving, tgi)
        assert status(other) == 429
        assert machines.sites[0].stop() == 0
        asking.join()
        speak(tgi)
        assert status(other) == 200


def test_without_redis_each_machine_counts_for_itself_until_it_is_back(
    tmp_path: Path, redis: RedisServer, tgi: FakeTgi, who: Customer
) -> None:
    let_go = hold_up(tgi)
    with Machines(tmp_path, redis, PROJECT_CONCURRENCY="1") as machines, machines.clients(who.secret) as clients:
        one, other = clients.values()
        asking = Asking(one, tgi)
        assert status(other) == 429
        redis.kill()
        speak(tgi)
        # Its own count holds, and so does that of the other.
        assert status(one) == 429
        assert [status(other) for _ in range(3)] == [200] * 3
        assert processes_without_redis(one) == processes_without_redis(other) == 1
        assert one.get("/readyz").status_code == 200
        redis.start()
        until(lambda: processes_without_redis(one) + processes_without_redis(other) == 0)
        # What was taken before and meanwhile counts again everywhere.
        assert status(other) == status(one) == 429
        let_go.set()
        asking.join()
        assert asking.status == 200
        assert status(one) == status(other) == 200
    for site in machines.sites:
        assert site.output.count("Redis does not answer") == site.output.count("Redis answers again") == 1
        assert "Traceback" not in site.output


def test_a_redis_that_says_nothing_holds_a_request_up_for_a_moment_only(
    tmp_path: Path, redis: RedisServer, tgi: FakeTgi, who: Customer
) -> None:
    machines = Machines(tmp_path, redis, REDIS_SECONDS="0.5")
    with machines, machines.clients(who.secret) as clients, redis.silence():
        for client in clients.values():
            assert [status(client) for _ in range(5)] == [200] * 5
            assert processes_without_redis(client) == 1
            assert _sign_in(client, "a@example.org", "wrong") == 400


def test_the_site_starts_while_redis_is_away(tmp_path: Path, redis: RedisServer, tgi: FakeTgi, who: Customer) -> None:
    redis.kill()
    with Machines(tmp_path, redis) as machines, machines.clients(who.secret) as clients:
        assert [status(client) for client in clients.values()] == [200, 200]


def test_failed_sign_ins_are_counted_over_all_machines(
    tmp_path: Path, redis: RedisServer, tgi: FakeTgi, owner: User
) -> None:
    with Machines(tmp_path, redis) as machines, machines.clients() as clients:
        tries = [_sign_in(client, owner.email, "wrong") for client in clients.values() for _ in range(5)]
        assert tries == [400] * sign_in.ACCOUNT_ATTEMPTS
        assert [_sign_in(client, owner.email, PASSWORD) for client in clients.values()] == [429, 429]


def _sign_in(client: httpx2.Client, email: str, password: str) -> int:
    token = "c" * 32
    return client.post(
        "/login",
        data={"username": email, "password": password, "csrfmiddlewaretoken": token},
        headers={"cookie": f"{settings.CSRF_COOKIE_NAME}={token}"},
    ).status_code


def test_the_open_sockets_of_a_person_are_counted_over_all_machines(
    tmp_path: Path, redis: RedisServer, tgi: FakeTgi, owner: User
) -> None:
    session = session_of(owner)
    with ExitStack() as stack:
        one, other = (site.url for site in stack.enter_context(Machines(tmp_path, redis)).sites)

        def may_enter(url: str) -> bool:
            try:
                stack.enter_context(open_socket(url, session))
            except InvalidStatus:
                return False
            return True

        assert all(may_enter(url) for url in (one, other) for _ in range(MAX_SOCKETS_PER_USER // 2 - 1))
        assert may_enter(one)
        with open_socket(other, session):
            assert not may_enter(one)
            assert not may_enter(other)
        until(lambda: may_enter(one))
        assert not may_enter(other)
