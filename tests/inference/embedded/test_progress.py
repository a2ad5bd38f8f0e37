"""When an engine that does not answer is given up, by what its threads worked meanwhile."""

import pytest

from inference.embedded.progress import problem_of


@pytest.mark.parametrize(
    ("silent_seconds", "work", "has_threads"),
    [
        pytest.param(4, [4.0, 0.0], True, id="not for long"),
        pytest.param(8, [6.0, 5.0], True, id="all threads work"),
        pytest.param(8, [1.5, 0.0], True, id="hardly let to work"),
        pytest.param(8, [8.0], False, id="with one thread, a long step"),
        pytest.param(50, [0.0, 0.0], True, id="stopped for a while"),
    ],
)
def test_one_that_may_just_take_its_time_is_let_go_on(
    silent_seconds: float, work: list[float], has_threads: bool
) -> None:
    assert problem_of(silent_seconds, work, has_threads=has_threads) == ""


@pytest.mark.parametrize(
    ("silent_seconds", "work", "has_threads", "problem"),
    [
        pytest.param(6, [4.0, 0.3], True, "worked for 4 s without", id="one thread alone"),
        pytest.param(12, [7.0, 7.0, 7.0], True, "worked for 21 s without", id="many that never end"),
        pytest.param(22, [21.0], False, "worked for 21 s without", id="the only one there is"),
        pytest.param(61, [0.0, 0.1], True, "neither worked nor answered for 61 s", id="none"),
        pytest.param(61, [], True, "neither worked nor answered for 61 s", id="nothing known of any"),
    ],
)
def test_one_that_does_not_come_around_is_given_up(
    silent_seconds: float, work: list[float], has_threads: bool, problem: str
) -> None:
    assert problem in problem_of(silent_seconds, work, has_threads=has_threads)
