import math
import threading

from accounts.auth.cache import AuthCache, Grant
from accounts.caller import Caller
from accounts.errors import UnknownKey

GRANT = Grant(
    Caller(team_id=1, team="a", project_id=1, project="b", user_id=1, key_id="k", team_enabled=True), math.inf
)


def test_a_flood_of_unknown_keys_neither_grows_nor_pushes_out_a_known_one() -> None:
    cache = AuthCache(grants=2, refusals=10)
    cache.put("known", GRANT, 1)
    for number in range(1_000):
        cache.put(f"unknown {number}", UnknownKey, 1)
    assert len(cache) == 11
    assert cache.get("known", 1) is GRANT


def test_the_least_recently_used_grant_goes_first() -> None:
    cache = AuthCache(grants=2, refusals=1)
    cache.put("a", GRANT, 1)
    cache.put("b", GRANT, 1)
    cache.get("a", 1)
    cache.put("c", GRANT, 1)
    assert (cache.get("a", 1), cache.get("b", 1), cache.get("c", 1)) == (GRANT, None, GRANT)


def test_a_change_empties_both_memories() -> None:
    cache = AuthCache(grants=2, refusals=2)
    cache.put("known", GRANT, 1)
    cache.put("unknown", UnknownKey, 1)
    assert cache.get("known", 2) is None
    assert len(cache) == 0


def test_an_answer_from_before_a_change_is_not_kept() -> None:
    cache = AuthCache(grants=2, refusals=2)
    cache.get("slow", 2)
    cache.put("slow", GRANT, 1)
    assert cache.get("slow", 2) is None


def test_nothing_is_used_or_kept_while_changes_may_go_unheard() -> None:
    cache = AuthCache(grants=2, refusals=2)
    cache.put("known", GRANT, 1)
    assert cache.get("known", None) is None
    cache.put("other", GRANT, None)
    assert cache.get("other", 1) is None


def test_it_bears_many_threads() -> None:
    cache = AuthCache(grants=5, refusals=5)
    failures: list[Exception] = []

    def hammer(first: int) -> None:
        try:
            for number in range(2_000):
                cache.put((first + number) % 17, GRANT if number % 2 else UnknownKey, number // 100)
                cache.get(number % 17, number // 100)
        except Exception as error:  # noqa: BLE001 (handed to the test's own thread)
            failures.append(error)

    threads = [threading.Thread(target=hammer, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(cache) <= 10
