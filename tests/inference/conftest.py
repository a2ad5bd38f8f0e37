"""A model on a fake TGI, and someone of the team ``acme`` who may spend a dollar on it."""

from collections.abc import Iterator

import pytest

from accounts.caller import Caller
from accounts.models import Project, Team, User
from credits import audit, ledger
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import DOLLAR, caller_in, register


@pytest.fixture
def tgi(transactional_db: None) -> Iterator[FakeTgi]:
    """A callable model on a fake TGI."""
    with FakeTgi() as server:
        register(server)
        yield server


@pytest.fixture
def caller(transactional_db: None, team: Team, project: Project, member: User) -> Iterator[Caller]:
    """The member, signed in; whatever a test does, the team's account adds up in the end."""
    ledger.grant(team.pk, DOLLAR, reason="for the tests", actor="tests")
    yield caller_in(project, member)
    ledger.close()
    assert audit.check(team.pk) == []
