from collections.abc import Iterator

import pytest

from accounts.models import Team
from credits import ledger
from credits.ledger import audit
from credits.models import Account

DOLLAR = 1_000_000_000


@pytest.fixture
def team(transactional_db: None) -> Iterator[Team]:
    """A team with ten dollars; whatever a test does to it, its account adds up in the end."""
    team = Team.objects.create(slug="analysts")
    ledger.grant(team.pk, 10 * DOLLAR, reason="welcome", actor="operator@example.org")
    yield team
    ledger.close()
    assert audit.check(team.pk) == []


@pytest.fixture
def account(team: Team) -> Account:
    """The team's account."""
    return Account.objects.get(team=team)
