from collections.abc import Iterator

import pytest

from accounts.models import Team, User
from credits import ledger
from tests.inference.scenes import DOLLAR, register
from tests.proofs.recording_engine import RecordingEngine


@pytest.fixture
def engine(transactional_db: None) -> Iterator[RecordingEngine]:
    """A callable model on an engine that notes everything."""
    with RecordingEngine() as engine:
        register(engine)
        yield engine


@pytest.fixture
def operator(owner: User, team: Team) -> User:
    """Who may do everything: an operator of the site, and the owner of a team with a dollar."""
    ledger.grant(team.pk, DOLLAR, reason="for the tests", actor="tests")
    owner.is_staff = owner.is_superuser = True
    owner.save()
    return owner
