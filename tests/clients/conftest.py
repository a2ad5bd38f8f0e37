"""A served site with an engine that obeys, and programs that are real clients, each in an environment of its own."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from accounts import keys
from accounts.models import Team, User
from credits import ledger
from inference.models import Endpoint
from tests.clients import environments
from tests.fakes.agent import FakeAgent
from tests.inference.scenes import DOLLAR, MODEL, register
from tests.server import Server, audited

Report = dict[str, Any]
Program = Callable[..., Report]


@pytest.fixture
def agent(transactional_db: None) -> Iterator[FakeAgent]:
    """A callable model that obeys, with a context of 8,000 tokens."""
    with FakeAgent(context_tokens=8_000) as server:
        register(server, Endpoint.Kind.OPENAI, upstream_model="org/model")
        yield server


@pytest.fixture
def funded(team: Team) -> Team:
    """The team ``acme`` with one dollar."""
    ledger.grant(team.pk, DOLLAR, reason="for the tests", actor="tests")
    return team


@pytest.fixture
def poor_key(stranger: User) -> str:
    """A key of a team without credits."""
    team = Team.objects.get(slug="elsewhere")
    return keys.create(name="poor", issuer=stranger, team=team, project=None)[1]


@pytest.fixture
def site(agent: FakeAgent) -> Iterator[Server]:
    """The site on a real socket; in the end no hold is open, and every account is explained by its entries."""
    with audited() as server:
        yield server


@pytest.fixture
def program(site: Server, api_key: str, poor_key: str, funded: Team) -> Program:
    """Run one of ``programs`` to its end, and return what it reports."""

    def run(environment: str, name: str, **more: str) -> Report:
        given = {"PARLEY_ROOT": site.url, "PARLEY_URL": f"{site.url}/v1", "PARLEY_MODEL": MODEL}
        return environments.report(environment, name, given | {"PARLEY_KEY": api_key, "POOR_KEY": poor_key} | more)

    return run
