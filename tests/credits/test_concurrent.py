"""The proofs that ``manage.py prove`` runs at full count, at a reduced one."""

import pytest

from proofs import concurrent
from tests.credits.proof import proof_count

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


def test_two_hundred_requests_at_once_on_a_balance_for_ten_let_exactly_ten_through() -> None:
    concurrent.balance_for_ten(proof_count(reduced=2, full=100))


def test_the_tightest_of_three_budgets_lets_exactly_ten_through() -> None:
    concurrent.budgets_for_ten(proof_count(reduced=3, full=99))


def test_four_processes_at_once_let_exactly_ten_through() -> None:
    concurrent.processes_for_ten(proof_count(reduced=2, full=100))


def test_four_processes_at_once_give_a_month_one_grant() -> None:
    concurrent.monthly_grants(proof_count(reduced=2, full=100))
