"""A few faults of `make chaos`, of any kind."""

import subprocess
import sys

import pytest

from tests.site import ROOT

# Five parts have to start, beside whatever else the machine does.
pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--minutes", "0.1", "--only", "is killed"), id="killed"),
        # How the other faults end depends on how fast the machine is.
        pytest.param(("--minutes", "0.5", "--seed", "11"), id="any", marks=pytest.mark.at_length),
    ],
)
def test_what_happens_to_the_parts_of_a_site_costs_nobody_a_credit(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "tests.proofs.chaos", *arguments]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "Proved" in told.stdout
