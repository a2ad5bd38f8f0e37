"""A clock that drifts with the wall's, and does not jump with it."""

import time

from core import clock
from core.clock import BELIEVED_SECONDS, SteadyClock


class Machine:
    """A wall clock and an uptime that stand still until they are told."""

    def __init__(self) -> None:
        self.wall, self.uptime = 1_800_000_000.0, 50.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.uptime += seconds

    def clock(self) -> SteadyClock:
        return SteadyClock(lambda: self.wall, lambda: self.uptime)


def test_it_goes_with_the_wall_clock() -> None:
    machine = Machine()
    steady = machine.clock()
    for drift in (0.5, 0.9, -1.5):
        machine.pass_by(60)
        machine.wall += drift
        assert steady() == machine.wall


def test_a_jump_in_either_direction_is_ignored() -> None:
    for jump in (86_400.0, -86_400.0, 3.0):
        machine = Machine()
        steady = machine.clock()
        believed = steady()
        machine.wall += jump
        assert steady() == believed
        machine.pass_by(10)
        assert steady() == believed + 10
        machine.wall -= jump
        assert steady() == machine.wall == believed + 10


def test_a_jump_that_lasts_is_believed() -> None:
    machine = Machine()
    steady = machine.clock()
    machine.wall += 3_600
    steady()
    machine.pass_by(BELIEVED_SECONDS - 1)
    assert steady() == machine.wall - 3_600
    machine.pass_by(1)
    assert steady() == machine.wall


def test_a_jump_back_and_forth_is_counted_anew() -> None:
    machine = Machine()
    steady = machine.clock()
    for _ in range(3):
        machine.wall += 3_600
        steady()
        machine.pass_by(BELIEVED_SECONDS - 1)
        assert steady() == machine.wall - 3_600
        machine.wall -= 3_600
        steady()


def test_the_process_has_the_time_of_day() -> None:
    assert abs(clock.timestamp() - time.time()) < 5
    assert clock.now().timestamp() - clock.timestamp() < 1
