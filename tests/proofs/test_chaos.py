"""A few faults of `make chaos`, of any kind."""

import subprocess
import sys

import pytest

from tests.site import ROOT

# Five parts have to start, beside whatever else the machine does.
pytestmark = pytest.mark.timeout(600)


def test_what_happens_to_the_parts_of_a_site_costs_nobody_a_credit() -> None:
    command = [sys.executable, "-m", "tests.proofs.chaos", "--minutes", "0.2", "--seed", "11"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "Proved" in told.stdout
