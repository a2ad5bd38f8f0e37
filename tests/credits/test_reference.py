"""The ledger against a model of it that fits on a page: random operations, many at once, no divergence."""

import pytest

from proofs import random_operations
from tests.credits.proof import proof_count

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


def test_random_operations_never_diverge_from_the_reference() -> None:
    random_operations.never_diverges(proof_count(reduced=4_000, full=100_000))
