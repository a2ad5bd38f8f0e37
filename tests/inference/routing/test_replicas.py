"""Which replica is asked: one that works, has a slot, and knows the conversation, in this order."""

import time
from collections import Counter

import pytest

from inference.engines.load import Load
from inference.errors import EngineError, EngineFailed, EngineOverloaded, EngineRefused, EngineUnavailable
from inference.routing import circuit_breaker
from inference.routing.replicas import FULL_SECONDS, Replica, choose
from tests.inference.routing.test_queue import endpoint, replica


def replicas(*concurrencies: int) -> list[Replica]:
    return [replica(endpoint(concurrency)) for concurrency in concurrencies]


def test_a_conversation_goes_back_to_its_replica_and_conversations_spread() -> None:
    four = replicas(8, 8, 8, 8)
    homes = {affinity: choose(four, affinity) for affinity in range(1_000)}
    assert all(choose(four, affinity) is home for affinity, home in homes.items())
    assert all(150 < count < 350 for count in Counter(homes.values()).values())


def test_a_replica_that_goes_moves_only_its_own_conversations() -> None:
    four = replicas(8, 8, 8, 8)
    homes = {affinity: choose(four, affinity) for affinity in range(1_000)}
    gone = four.pop()
    assert all(choose(four, affinity) is home for affinity, home in homes.items() if home is not gone)


def test_a_busy_home_gives_way_to_the_least_busy() -> None:
    pair = replicas(8, 8)
    home = choose(pair, 1)
    assert home
    home.running = 2
    assert choose(pair, 1) is home
    home.running = 3
    assert choose(pair, 1) is not home


def test_slots_are_filled_by_their_share_and_no_further() -> None:
    pair = replicas(2, 4)
    chosen: Counter[int] = Counter()
    for affinity in range(6):
        chosen_one = choose(pair, affinity)
        assert chosen_one
        chosen_one.enter()
        chosen[chosen_one.endpoint.concurrency] += 1
    assert chosen == {2: 2, 4: 4}
    assert choose(pair, 7) is None


def test_a_refused_connection_is_avoided_at_once_and_a_bad_answer_after_three() -> None:
    for error, borne in ((EngineUnavailable(), 0), (EngineFailed(), 2)):
        pair = replicas(8, 8)
        home = choose(pair, 1)
        assert home
        for _ in range(borne):
            home.record_failure(error)
            assert choose(pair, 1) is home
        home.record_failure(error)
        assert choose(pair, 1) is not home
        assert home.last_failure
        assert home.last_failure.error.startswith(type(error).__name__)


def test_one_whose_answers_break_off_is_avoided_after_three_unless_one_is_whole() -> None:
    for whole, is_avoided in ((False, True), (True, False)):
        pair = replicas(8, 8)
        home = choose(pair, 1)
        assert home
        for number in range(3):
            assert choose(pair, 1) is home
            home.circuit.record_first_token()
            home.record_failure(EngineFailed(), has_begun=True)
            if whole and number == 1:
                home.circuit.record_success()
        assert (choose(pair, 1) is not home) is is_avoided


@pytest.mark.parametrize("error", [EngineRefused(), EngineOverloaded()])
def test_a_refusal_and_a_full_server_are_no_failures(error: EngineError) -> None:
    single = replicas(8)[0]
    for _ in range(10):
        single.record_failure(error)
    assert single.circuit.state is circuit_breaker.CircuitState.CLOSED


def test_one_that_is_tried_again_gets_one_request_whose_outcome_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    pair = replicas(8, 8)
    home = choose(pair, 1)
    assert home
    opened_for = circuit_breaker.RECOVERY_SECONDS
    for _ in range(6):
        home.record_failure(EngineUnavailable())
        assert choose(pair, 1) is not home
        now += opened_for - 0.1
        assert choose(pair, 1) is not home
        now += 0.2
        assert choose(pair, 1) is home
        home.enter()
        assert choose(pair, 1) is not home
        home.leave()
        opened_for = min(2 * opened_for, circuit_breaker.MAX_RECOVERY_SECONDS)
    assert opened_for < 30
    home.enter()
    home.circuit.record_first_token()
    home.enter()
    assert choose(pair, 1) is home


def test_who_came_before_the_trial_and_ends_during_it_lets_nobody_else_try() -> None:
    pair = replicas(8, 8)
    home = choose(pair, 1)
    assert home
    earlier = home.enter()
    home.record_failure(EngineUnavailable())
    home.record_health_check(is_well=True)
    trial = home.enter()
    home.leave(earlier)
    assert choose(pair, 1) is not home
    home.leave(trial)
    assert choose(pair, 1) is home


def test_one_that_called_itself_full_is_left_to_others_as_far_as_they_have_slots(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    pair = replicas(1, 1)
    home = choose(pair, 1)
    assert home
    home.record_failure(EngineOverloaded())
    other = choose(pair, 1)
    assert other
    assert other is not home
    other.enter()
    assert choose(pair, 1) is home
    other.leave()
    now += FULL_SECONDS
    assert choose(pair, 1) is home


def test_one_that_was_away_and_says_it_is_well_is_tried_at_once() -> None:
    for is_silent in (False, True):
        pair = replicas(8, 8)
        home = choose(pair, 1)
        assert home
        home.record_health_check(is_well=False) if is_silent else home.record_failure(EngineUnavailable())
        home.record_health_check(is_well=True)
        assert choose(pair, 1) is home


def test_those_who_fail_together_open_a_circuit_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    pair = replicas(8, 8)
    home = choose(pair, 1)
    assert home
    for _ in range(8):
        home.record_failure(EngineUnavailable())
    now += circuit_breaker.RECOVERY_SECONDS
    assert choose(pair, 1) is home


def test_one_that_answers_badly_is_not_asked_for_its_time_though_it_says_it_is_well() -> None:
    pair = replicas(8, 8)
    home = choose(pair, 1)
    assert home
    for _ in range(3):
        home.record_failure(EngineFailed())
    home.record_health_check(is_well=True)
    assert choose(pair, 1) is not home


def test_where_every_circuit_is_open_trying_is_better_than_giving_up() -> None:
    pair = replicas(8, 8)
    for each in pair:
        each.record_failure(EngineUnavailable())
    first = choose(pair, 1)
    assert first in pair
    assert first
    assert choose(pair, 1, {first}) is not first
    assert choose(pair, 1, set(pair)) is None


def test_one_in_which_requests_wait_gets_nothing_while_others_are_free() -> None:
    four = replicas(8, 8, 8, 8)
    homes = {affinity: choose(four, affinity) for affinity in range(100)}
    full = four[0]
    full.told = Load(running=8, waiting=1)
    assert full not in {choose(four, affinity) for affinity in range(100)}
    # The others keep their conversations.
    assert all(choose(four, affinity) is home for affinity, home in homes.items() if home is not full)
    for each in four:
        each.told = Load(running=8, waiting=1)
    assert choose(four, 1) in four


def test_what_others_ask_of_an_engine_counts_too() -> None:
    pair = replicas(8, 8)
    home = choose(pair, 1)
    assert home
    home.told = Load(running=2)
    assert choose(pair, 1) is home
    home.told = Load(running=3)
    assert choose(pair, 1) is not home
    # Conversations in its memory are why one comes back; a memory that is full is none.
    home.told = Load(cache_share=0.8)
    assert choose(pair, 1) is home
    home.told = Load(cache_share=0.95)
    assert choose(pair, 1) is not home
