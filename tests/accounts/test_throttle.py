"""Counting attempts, and telling computers apart."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.test import RequestFactory
from pytest_django import Settings

from console.throttle import Throttle
from tests.patience import until
from tests.redis_server import RedisServer
from web.client_address import client_network


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_key_tries_so_often_in_a_window_and_then_waits() -> None:
    clock = Clock()
    throttle = Throttle("test", 2, 60, remembered=10, clock=clock)
    assert [throttle.take("a"), throttle.take("a"), throttle.take("a")] == [0, 0, 60]
    clock.now += 59.5
    assert throttle.take("a") == 1
    clock.now += 0.5
    assert throttle.take("a") == 0


def test_of_many_at_once_only_the_limit_comes_through() -> None:
    throttle = Throttle("test", 10, 60, remembered=10)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: throttle.take("a"), range(400)))
    assert answers.count(0) == 10


def test_the_least_recently_tried_keys_are_forgotten() -> None:
    throttle = Throttle("test", 1, 60, remembered=2)
    for key in "abc":
        throttle.take(key)
    assert throttle.take("a") == 0
    assert throttle.take("c") > 0


def test_all_processes_count_together_in_redis(redis: RedisServer) -> None:
    processes = [Throttle("test", 10, 60, remembered=10) for _ in range(4)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: processes[number % 4].take("a"), range(400)))
    assert answers.count(0) == 10
    assert {answer for answer in answers if answer} <= {59, 60}
    assert processes[0].take("b") == 0
    assert Throttle("other", 10, 60, remembered=10).take("a") == 0
    processes[1].give_back("a")
    assert [processes[2].take("a"), processes[3].take("a")] == [0, 60]
    processes[3].forget("a")
    assert processes[0].take("a") == 0
    processes[0].give_back("never tried")
    with redis.client() as client:
        # Nobody reads there what somebody typed; and all of it goes by itself.
        names = list(client.scan_iter())
        assert names
        assert not [name for name in names if b"never" in name or name.endswith(b":a")]
        assert all(0 < client.ttl(name) <= 60 for name in names)


def test_a_window_in_redis_ends_by_itself(redis: RedisServer) -> None:
    throttle = Throttle("test", 1, 0.5, remembered=10)
    assert throttle.take("a") == 0
    assert throttle.take("a") in (0, 1)
    until(lambda: throttle.take("a") == 0)


def test_while_redis_is_away_each_process_counts_for_itself(redis: RedisServer) -> None:
    one, other = (Throttle("test", 2, 60, remembered=10) for _ in range(2))
    assert one.take("a") == 0
    redis.kill()
    assert [one.take("a") for _ in range(3)] == [0, 0, 60]
    one.give_back("a")
    assert one.take("a") == 0
    one.forget("a")
    assert one.take("a") == other.take("a") == 0
    redis.start()
    with redis.client() as client:
        until(lambda: other.take("b") >= 0 and client.dbsize())
    assert [one.take("a"), other.take("a"), one.take("a"), other.take("a")] == [0, 0, 60, 60]


@pytest.mark.parametrize(
    ("proxies", "forwarded", "remote", "network"),
    [
        (0, "203.0.113.9", "192.0.2.1", "192.0.2.1"),
        (1, "6.6.6.6, 203.0.113.9", "10.0.0.1", "203.0.113.9"),
        (2, "6.6.6.6, 203.0.113.9, 10.0.0.2", "10.0.0.1", "203.0.113.9"),
        (1, "", "10.0.0.1", "10.0.0.1"),
        (3, "6.6.6.6", "10.0.0.1", "10.0.0.1"),
        (1, "not an address", "10.0.0.1", "10.0.0.1"),
        (0, "", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (0, "", "::ffff:192.0.2.1", "192.0.2.1"),
        (0, "", "", "unknown"),
    ],
)
def test_only_what_our_own_proxies_wrote_is_believed(
    settings: Settings, proxies: int, forwarded: str, remote: str, network: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", headers={"X-Forwarded-For": forwarded}, REMOTE_ADDR=remote)
    assert client_network(request) == network
