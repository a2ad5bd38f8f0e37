"""When another request may be tried, from how quickly others ended."""

import time

from inference.turnover import MAX_REMEMBERED, Turnover, turnover_of


def ran(turnover: Turnover, seconds: float) -> None:
    """Let a request have taken so long."""
    number = turnover.begin()
    turnover._running[number] -= seconds
    turnover.end(number)


def begun(turnover: Turnover, ago: float) -> None:
    """Let a request have begun some time ago."""
    turnover._running[turnover.begin()] -= ago


def test_as_many_end_in_the_time_that_one_takes_as_may_run() -> None:
    turnover = Turnover()
    for seconds in (19.5, 59.5):
        ran(turnover, seconds)
    assert turnover.retry_after_seconds(1) == 40
    assert turnover.retry_after_seconds(4) == 10
    assert turnover.retry_after_seconds(1_000) == 1


def test_where_nothing_has_ended_yet_it_may_take_as_long_again() -> None:
    turnover = Turnover()
    assert turnover.retry_after_seconds(2) == 1
    begun(turnover, 29.5)
    begun(turnover, 3)
    assert turnover.retry_after_seconds(2) == 30


def test_a_standstill_shows_and_idle_time_does_not() -> None:
    turnover = Turnover()
    ran(turnover, 1.5)
    turnover._last_end = time.monotonic() - 3_600
    assert turnover.retry_after_seconds(1) == 2
    begun(turnover, 9.5)
    assert turnover.retry_after_seconds(1) == 10


def test_only_the_latest_are_remembered() -> None:
    turnover = Turnover()
    for seconds in [1_000.0] * 10 + [2.5] * 32:
        ran(turnover, seconds)
    assert turnover.retry_after_seconds(1) == 3
    first = turnover_of(("project", -1))
    assert turnover_of(("project", -1)) is first
    for number in range(MAX_REMEMBERED):
        turnover_of(("user", -number - 2))
    assert turnover_of(("project", -1)) is not first
