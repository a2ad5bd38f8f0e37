"""``kill -9`` of a web process; killing a process that uses the ledger alone is in ``tests.credits.test_processes``."""

import pytest

from tests.proofs import killing

pytestmark = [
    pytest.mark.either_database,
    pytest.mark.django_db(transaction=True),
    # Web processes of their own have to start, beside whatever else the machine does.
    pytest.mark.timeout(600),
]


def test_a_web_process_killed_under_load_charges_nothing_twice_and_loses_nothing() -> None:
    killing.killed_under_load(3)
