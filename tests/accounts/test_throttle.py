"""Counting attempts, in this process's memory and in Redis."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.cache import caches
from pytest_django import Settings

from accounts.throttle import Throttle
from core.environment import CACHED_KEYS
from tests.patience import until
from tests.redis_server import RedisServer


@pytest.fixture(autouse=True)
def _nothing_was_tried() -> Iterator[None]:
    caches["local"].clear()
    yield
    caches["local"].clear()


def test_a_key_tries_so_often_in_a_window_and_then_waits() -> None:
    throttle = Throttle("test", 2, 60)
    assert [throttle.take("a"), throttle.take("a"), throttle.take("a")] == [0, 0, 60]
    assert throttle.take("b") == 0


def test_a_window_ends_by_itself() -> None:
    throttle = Throttle("test", 1, 1)
    assert [throttle.take("a"), throttle.take("a")] == [0, 1]
    until(lambda: throttle.take("a") == 0)


def test_of_many_at_once_only_the_limit_comes_through() -> None:
    throttle = Throttle("test", 10, 60)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: throttle.take("a"), range(400)))
    assert answers.count(0) == 10


def test_the_least_recently_tried_keys_are_forgotten(settings: Settings) -> None:
    kept = {**settings.CACHES["local"], "LOCATION": "small", "OPTIONS": {"MAX_ENTRIES": 4, "CULL_FREQUENCY": 2}}
    settings.CACHES = {"default": kept, "local": kept}
    throttle = Throttle("test", 1, 60)
    for key in "abc":
        throttle.take(key)
    assert throttle.take("a") == 0
    assert throttle.take("c") > 0
    assert CACHED_KEYS >= 20_000


def test_all_processes_count_together_in_redis(redis: RedisServer) -> None:
    processes = [Throttle("test", 10, 60) for _ in range(4)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: processes[number % 4].take("a"), range(400)))
    assert answers.count(0) == 10
    assert {answer for answer in answers if answer} <= {59, 60}
    assert processes[0].take("b") == 0
    assert Throttle("other", 10, 60).take("a") == 0
    processes[1].give_back("a")
    assert processes[2].take("a") == 0
    assert processes[3].take("a") in (59, 60)
    processes[3].forget("a")
    assert processes[0].take("a") == 0
    processes[0].give_back("never tried")
    with redis.client() as client:
        # Nobody reads there what somebody typed; and all of it goes by itself.
        names = list(client.scan_iter())
        assert names
        assert not [name for name in names if b"never" in name or name.endswith(b":a")]
        assert all(0 < client.ttl(name) <= 60 for name in names)


def test_a_good_attempt_is_taken_back_in_redis(redis: RedisServer) -> None:
    throttle, other = Throttle("test", 1, 60), Throttle("test", 1, 60)
    assert throttle.take("a") == 0
    throttle.give_back("a")
    assert [other.take("a"), throttle.take("a")] == [0, 60]


def test_a_window_in_redis_ends_by_itself(redis: RedisServer) -> None:
    throttle = Throttle("test", 1, 1)
    assert throttle.take("a") == 0
    assert throttle.take("a") in (0, 1)
    until(lambda: throttle.take("a") == 0)


def test_while_redis_is_away_each_process_counts_for_itself(redis: RedisServer) -> None:
    one, other = (Throttle("test", 2, 60) for _ in range(2))
    assert one.take("a") == 0
    redis.kill()
    assert [one.take("a") for _ in range(3)] == [0, 0, 60]
    one.forget("a")
    assert one.take("a") == 0
    one.give_back("a")
    assert [one.take("a"), one.take("a")] == [0, 0]
    redis.start()
    with redis.client() as client:
        until(lambda: other.take("b") >= 0 and client.dbsize())
    one.forget("a")
    assert [one.take("a"), other.take("a"), one.take("a"), other.take("a")] == [0, 0, 60, 60]
