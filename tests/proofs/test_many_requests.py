"""Two hundred at once over HTTP; the ledger's own counts are in ``tests.credits.test_concurrent``."""

import pytest

from tests.proofs import many_requests

pytestmark = [
    pytest.mark.either_database,
    pytest.mark.django_db(transaction=True),
    # Web processes of their own have to start, beside whatever else the machine does.
    pytest.mark.timeout(600),
]


def test_two_hundred_at_once_on_a_balance_for_ten_are_ten_answers() -> None:
    many_requests.balance_for_ten(1)


def test_the_tightest_of_three_budgets_lets_ten_of_two_hundred_through_and_is_named() -> None:
    many_requests.budgets_for_ten(3)


def test_four_web_processes_let_ten_of_two_hundred_through_together() -> None:
    many_requests.processes_for_ten(1)
