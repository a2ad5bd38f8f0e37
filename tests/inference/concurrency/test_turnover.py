"""When another request may be tried, from how quickly others ended."""

from inference.concurrency.turnover import MAX_REMEMBERED, Turnover, Turnovers


def ran(turnover: Turnover, seconds: float) -> None:
    """Let a request have taken so long."""
    number = turnover.begin()
    turnover._running[number] -= seconds
    turnover.end(number)


def begun(turnover: Turnover, ago: float) -> None:
    """Let a request have begun some time ago."""
    turnover._running[turnover.begin()] -= ago


def test_those_that_began_together_end_together() -> None:
    turnover = Turnover()
    ran(turnover, 7.5)
    for _ in range(3):
        begun(turnover, 1)
    assert turnover.retry_after_seconds(3) == 7


def test_of_those_that_began_one_by_one_the_first_ends_first() -> None:
    turnover = Turnover()
    for _ in range(3):
        ran(turnover, 40.5)
    for ago in (30, 20, 10):
        begun(turnover, ago)
    assert turnover.retry_after_seconds(3) == 11


def test_among_many_a_short_one_ends_soon() -> None:
    turnover = Turnover()
    for seconds in (2.5, 99.5) * 4:
        ran(turnover, seconds)
    for _ in range(40):
        begun(turnover, 0)
    begun(turnover, 60)
    assert turnover.retry_after_seconds(41) == 3
    assert turnover.retry_after_seconds(1) == 100


def test_requests_of_other_processes_are_taken_to_be_alike() -> None:
    turnover = Turnover()
    for seconds in (1.5, 19.5, 19.5, 19.5):
        ran(turnover, seconds)
    assert turnover.retry_after_seconds(1) == 20
    assert turnover.retry_after_seconds(8) == 2


def test_what_takes_longer_than_all_before_may_take_as_long_again() -> None:
    turnover = Turnover()
    assert turnover.retry_after_seconds(2) == 1
    begun(turnover, 29.5)
    begun(turnover, 29.5)
    assert turnover.retry_after_seconds(2) == 30
    ran(turnover, 1.5)
    assert turnover.retry_after_seconds(2) == 30


def test_only_the_latest_are_remembered() -> None:
    turnover = Turnover()
    for seconds in [1_000.0] * 10 + [2.5] * 32:
        ran(turnover, seconds)
    assert turnover.retry_after_seconds(1) == 3
    turnovers = Turnovers()
    first = turnovers.of(("project", -1))
    assert turnovers.of(("project", -1)) is first
    for number in range(MAX_REMEMBERED):
        turnovers.of(("user", -number - 2))
    assert turnovers.of(("project", -1)) is not first
