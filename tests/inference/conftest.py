"""A model on a fake TGI, and someone of the team ``acme`` who may spend a dollar on it."""

from collections.abc import Iterator

import pytest

from accounts.caller import Caller
from accounts.models import Project, Team, User
from credits import ledger
from credits.ledger import audit
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import DOLLAR, caller_in, register


@pytest.fixture
def tgi(transactional_db: None) -> Iterator[FakeTgi]:
    """A callable model on a fake TGI."""
    with FakeTgi() as server:
        register(server)
        yield server


@pytest.fixture
def pauper(transactional_db: None, team: Team, project: Project, member: User) -> Iterator[Caller]:
    """The member, signed in, in a team without credits; whatever a test does, its account adds up in the end."""
    yield caller_in(project, member)
    ledger.close()
    assert audit.check(team.pk) == []


@pytest.fixture
def caller(pauper: Caller) -> Caller:
    """The member, in a team with a dollar."""
    ledger.grant(pauper.team_id, DOLLAR, reason="for the tests", actor="tests")
    return pauper
