"""What a person sees is kept by nobody on the way, nor by the browser after they signed out."""

import pytest
from django.test import Client

from accounts.models import Team, User

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "address",
    [
        "/",
        "/playground",
        "/playground/balance",
        "/playground/notices",
        "/playground/conversations",
        "/console/",
        "/console/keys",
        "/console/teams/acme/",
        "/console/teams/acme/people",
        "/console/teams/acme/billing",
        "/console/teams/acme/usage.csv",
        "/console/sessions",
        "/console/nothing",
    ],
)
def test_private_pages_and_their_json_are_not_stored(address: str, owner: User, team: Team) -> None:
    client = Client()
    client.force_login(owner)
    assert "no-store" in client.get(address).headers["Cache-Control"]
