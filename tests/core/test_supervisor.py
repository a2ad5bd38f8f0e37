"""Child processes that are kept running, whatever happens to them or to their parent."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from core.supervisor import Child, ChildFailed, Start, Supervisor
from tests.patience import PATIENCE_SECONDS, until

ROOT = Path(__file__).resolve().parent.parent.parent


class Echo(Child):
    """Starts ``tests.core.child``, which does what its order says."""

    name = "The echo"
    first_delay_seconds = 0.1

    def __init__(self, **order: object) -> None:
        self.order = order
        self.process_ids: list[int] = []
        self.lines: list[bytes] = []
        self.exit_codes: list[int] = []
        self.refusal = ""

    def start(self) -> Start:
        order = json.dumps(self.order).encode() + b"\n"
        return Start("tests.core.child", ["argument"], ROOT, dict(os.environ), order)

    def ready(self, process_id: int, line: bytes) -> None:
        self.process_ids.append(process_id)
        self.lines.append(line)
        if self.refusal:
            raise ChildFailed(self.refusal)

    def ended(self, process_id: int, exit_code: int) -> None:
        self.exit_codes.append(exit_code)


Supervised = Callable[[Echo], Supervisor]


@pytest.fixture
def supervised() -> Iterator[Supervised]:
    supervisors: list[Supervisor] = []

    def begin(child: Echo) -> Supervisor:
        supervisors.append(Supervisor(child))
        supervisors[-1].start()
        return supervisors[-1]

    yield begin
    for supervisor in supervisors:
        supervisor.stop(signal.SIGKILL)
    assert all(supervisor.join(PATIENCE_SECONDS) for supervisor in supervisors)


def test_a_child_is_told_what_to_do_and_says_when_it_is_ready(supervised: Supervised) -> None:
    child = Echo(say="hello")
    supervisor = supervised(child)
    assert supervisor.is_ready.wait(PATIENCE_SECONDS)
    assert child.lines == [b"hello argument\n"]


def test_what_it_prints_besides_is_not_taken_for_that(
    supervised: Supervised, capfd: pytest.CaptureFixture[str]
) -> None:
    child = Echo(say="hello", chatter="loading")
    assert supervised(child).is_ready.wait(PATIENCE_SECONDS)
    assert child.lines == [b"hello argument\n"]
    until(lambda: "loading" in capfd.readouterr().err)


def test_one_that_dies_is_started_again(supervised: Supervised, caplog: pytest.LogCaptureFixture) -> None:
    child = Echo(say="hello")
    supervisor = supervised(child)
    assert supervisor.is_ready.wait(PATIENCE_SECONDS)
    os.kill(child.process_ids[0], signal.SIGKILL)
    until(lambda: len(child.process_ids) == 2 and supervisor.is_ready.is_set())
    assert child.exit_codes == [-signal.SIGKILL]
    assert "The echo ended (exit code -9); it starts again in 0.1 s" in caplog.text


def test_one_that_goes_on_dying_is_waited_for_longer_and_longer(
    supervised: Supervised, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor = supervised(Echo(exit_code=3))
    for seconds in ("0.1", "0.2", "0.4"):
        told = f"(exit code 3 before it was ready); it starts again in {seconds} s"
        until(lambda told=told: told in caplog.text)  # type: ignore[misc]
    assert supervisor.is_settled.is_set()
    assert not supervisor.was_ready


def test_one_that_is_not_ready_in_time_is_ended(supervised: Supervised, caplog: pytest.LogCaptureFixture) -> None:
    child = Echo()
    child.ready_seconds = 0.5
    supervised(child)
    until(lambda: "The echo ended (it was not ready within 0 s)" in caplog.text)


def test_one_that_is_of_no_use_is_ended_for_the_reason_that_is_told(
    supervised: Supervised, caplog: pytest.LogCaptureFixture
) -> None:
    child = Echo(say="hello")
    child.refusal = "the database is away"
    supervisor = supervised(child)
    until(lambda: "The echo ended (the database is away)" in caplog.text)
    assert not psutil.pid_exists(child.process_ids[0])
    child.refusal = ""
    assert supervisor.is_ready.wait(PATIENCE_SECONDS)


def test_one_that_is_killed_for_a_reason_is_said_to_have_ended_for_it(
    supervised: Supervised, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor = supervised(Echo(say="hello"))
    assert supervisor.is_ready.wait(PATIENCE_SECONDS)
    supervisor.kill("it took too much")
    until(lambda: "The echo ended (it took too much)" in caplog.text)


def test_one_that_is_told_to_stop_is_not_started_again(supervised: Supervised) -> None:
    child = Echo(say="hello")
    supervisor = supervised(child)
    assert supervisor.is_ready.wait(PATIENCE_SECONDS)
    supervisor.stop(signal.SIGTERM)
    assert supervisor.join(PATIENCE_SECONDS)
    assert child.exit_codes == [-signal.SIGTERM]
    assert not supervisor.is_ready.is_set()


def test_one_that_does_not_hear_can_be_killed(supervised: Supervised) -> None:
    child = Echo(say="hello", ignore=True)
    supervisor = supervised(child)
    assert supervisor.is_ready.wait(PATIENCE_SECONDS)
    supervisor.stop(signal.SIGTERM)
    assert not supervisor.join(0.5)
    supervisor.stop(signal.SIGKILL)
    assert supervisor.join(PATIENCE_SECONDS)


def test_a_command_that_is_not_there_is_tried_again_and_can_be_stopped(
    supervised: Supervised, caplog: pytest.LogCaptureFixture
) -> None:
    class Nowhere(Echo):
        def start(self) -> Start:
            return super().start()._replace(folder=Path("/nonexistent"))

    supervisor = supervised(Nowhere())
    until(lambda: "The echo ended ([Errno 2]" in caplog.text)
    supervisor.stop(signal.SIGTERM)
    assert supervisor.join(PATIENCE_SECONDS)


def test_a_child_ends_with_its_parent_however_that_ends() -> None:
    command = [sys.executable, "-m", "tests.core.child"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b'{"say": "hello", "ignore": true}\n')
        child.stdin.flush()
        assert child.stdout.readline()
        child.stdin.close()
        assert child.wait(PATIENCE_SECONDS) == 7
