"""Counting requests in flight, alone and together with other processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from inference.concurrency import local
from inference.concurrency.local import Holder, InFlight, InFlightHere, InFlightTogether

ROOT = Path(__file__).resolve().parents[3]
PROCESSES, TAKEN, LIMIT = 4, 300, 3
# Takes and gives back as fast as it can, and notes the most that it ever saw of a file that counts as well.
CONTENDER = f"""
import sys
from pathlib import Path
from inference.concurrency.local import InFlightTogether
folder, column = Path(sys.argv[1]), int(sys.argv[2])
counts = InFlightTogether(folder / "in-flight", column)
taken = 0
while taken < {TAKEN}:
    if counts.take([("project", 7)], [{LIMIT}]) is None:
        taken += 1
        # More than the limit would show here: a marker for each that is in.
        marker = folder / f"in-{{column}}"
        marker.touch()
        assert len(list(folder.glob("in-[0-9]"))) <= {LIMIT}
        marker.unlink()
        counts.give_back([("project", 7)])
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A table for some processes."""
    path = tmp_path / local.FILE_NAME
    local.create(path, PROCESSES)
    return path


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_request_is_counted_for_all_of_its_holders_or_none(file: Path, is_alone: bool) -> None:
    counts: InFlight = InFlightHere() if is_alone else InFlightTogether(file, 0)
    mine: list[Holder] = [("project", 1), ("user", 1)]
    theirs: list[Holder] = [("project", 1), ("user", 2)]
    assert counts.take(mine, [2, 1]) is None
    assert counts.take(mine, [2, 1]) == 1
    assert counts.take(theirs, [2, 1]) is None
    assert counts.take([("project", 1), ("user", 3)], [2, 1]) == 0
    counts.give_back(theirs)
    assert counts.take([("project", 1), ("user", 3)], [2, 1]) is None


def test_all_processes_count_together_and_a_dead_one_is_forgotten(file: Path) -> None:
    one, other = InFlightTogether(file, 0), InFlightTogether(file, 3)
    assert one.take([("project", 5)], [2]) is None
    assert other.take([("project", 5)], [2]) is None
    assert one.take([("project", 5)], [2]) == other.take([("project", 5)], [2]) == 0
    assert one.take([("project", 6)], [1]) is None
    local.forget(file, 0)
    assert other.take([("project", 6)], [1]) is None
    assert other.take([("project", 5)], [2]) is None
    assert other.take([("project", 5)], [2]) == 0


def test_a_limit_is_never_passed_by_processes_in_the_same_instant(file: Path) -> None:
    contenders = [
        subprocess.Popen(
            [sys.executable, "-c", CONTENDER, str(file.parent), str(column)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for column in range(PROCESSES)
    ]
    for contender in contenders:
        _, complaint = contender.communicate(timeout=60)
        assert not complaint


def test_what_was_never_counted_takes_no_space(file: Path) -> None:
    assert file.stat().st_blocks * 512 < 65_536
