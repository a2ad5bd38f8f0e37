import pytest

from accounts.models import Team
from credits.models import Account
from proofs import killing, outage
from tests.credits.proof import proof_count
from tests.credits.scenes import DOLLAR, child

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


def test_a_process_killed_under_load_leaves_accounts_that_add_up() -> None:
    killing.killed_under_load(proof_count(reduced=2, full=100))


def test_a_process_killed_before_the_database_is_back_has_its_settlements_charged_once() -> None:
    outage.charged_after_an_outage(proof_count(reduced=1, full=20))


def test_a_process_that_ends_commits_what_was_asked_for_at_the_last_moment(team: Team, account: Account) -> None:
    process = child("leave", team.pk, 30)
    process.communicate("go\n", timeout=60)
    account.refresh_from_db()
    assert (account.held_nano, account.balance_nano) == (0, 10 * DOLLAR)
