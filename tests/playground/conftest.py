from collections.abc import Iterator

import pytest
from django.contrib.auth import get_user_model

from accounts.models import Membership, Team, User
from core import changes
from credits import ledger
from inference.models import Endpoint, Model, Price
from tests.fakes.tgi import FakeTgi
from tests.playground.cast import MODEL, Cast


def person(name: str) -> User:
    return get_user_model().objects.create_user(f"{name}@example.org", name=name.title())


@pytest.fixture
def cast(db: None) -> Cast:
    """The team ``acme`` with people in each role, a stranger with a team of his own, and ten dollars."""
    owner, member, viewer, stranger = map(person, ("owner", "member", "viewer", "stranger"))
    team = Team.objects.create_with_owner("acme", owner)
    team.memberships.create(user=member, role=Membership.Role.MEMBER)
    team.memberships.create(user=viewer, role=Membership.Role.VIEWER)
    Team.objects.create_with_owner("elsewhere", stranger)
    ledger.grant(team.pk, 10_000_000_000, reason="for the tests", actor="tests")
    return Cast(owner=owner, member=member, viewer=viewer, stranger=stranger, team=team)


@pytest.fixture
def tgi(transactional_db: None, cast: Cast) -> Iterator[FakeTgi]:
    """A callable model on a fake TGI."""
    with FakeTgi() as server:
        model = Model.objects.create(id=MODEL, name="Fox", context_tokens=4096, modalities=["text"])
        Price.objects.create(
            model=model,
            input_microcredits_per_mtok=220_000,
            output_microcredits_per_mtok=220_000,
            cached_input_microcredits_per_mtok=110_000,
        )
        Endpoint.objects.create(model=model, kind=Endpoint.Kind.TGI, base_url=server.url)
        yield server
    # What was remembered of this test's rows is forgotten.
    changes.stop()
