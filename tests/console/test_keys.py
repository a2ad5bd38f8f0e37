"""Keys in the console: shown once, listed, revoked."""

import re

import pytest
from django.test import Client

from accounts import keys
from accounts.errors import RevokedKey
from accounts.models import ApiKey, Project, Team, User
from console.forms.keys import MAX_LIVE_KEYS
from tests.console.conftest import Browser
from tests.console.scenes import Page, call_for_a_second, model

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/console/teams/acme/keys"
SECRET = re.compile(r"parley_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")


def make(client: Client, ticket: str | None = None, **fields: str) -> tuple[int, str]:
    ticket = ticket or Page(client.get(URL)).values["ticket"]
    values = {"name": "report", "scope": "inference", "lifetime": "30", "ticket": ticket, **fields}
    response = client.post(URL, values)
    return response.status_code, response.content.decode()


def test_a_key_is_shown_once_with_a_command_to_try_it(browser: Browser, member: User, project: Project) -> None:
    model()
    client = browser(member)
    status, page = make(client)
    assert status == 200
    (secret,) = set(SECRET.findall(page))
    assert keys.authenticate(secret, None).path == "acme/inference"
    assert "curl --no-buffer" in page
    assert "OpenAI-Project: acme/inference" in page
    assert "fable/fox-1b" in page
    key = ApiKey.objects.get()
    assert key.issuer == member
    assert key.expires_at is not None
    later = client.get(URL).content.decode()
    assert not SECRET.search(later)
    assert key.pk in later


def test_the_page_with_the_secret_is_kept_nowhere(browser: Browser, member: User) -> None:
    client = browser(member)
    ticket = Page(client.get(URL)).values["ticket"]
    response = client.post(URL, {"name": "report", "scope": "", "lifetime": "", "ticket": ticket})
    assert "no-store" in response.headers["Cache-Control"]
    assert ApiKey.objects.get().project is None
    assert ApiKey.objects.get().expires_at is None


def test_a_reloaded_page_makes_no_second_key(browser: Browser, member: User) -> None:
    client = browser(member)
    ticket = Page(client.get(URL)).values["ticket"]
    assert make(client, ticket)[0] == 200
    assert make(client, ticket)[0] == 302
    assert ApiKey.objects.count() == 1


def test_a_ticket_of_somebody_else_makes_nothing(browser: Browser, member: User, owner: User) -> None:
    ticket = Page(browser(owner).get(URL)).values["ticket"]
    assert make(browser(member), ticket)[0] == 400
    assert not ApiKey.objects.exists()


def test_a_name_is_text_and_never_markup(browser: Browser, member: User) -> None:
    client, hostile = browser(member), '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    _, created = make(client, name=hostile)
    listed = client.get(URL)
    asked = client.get(f"{URL}/{ApiKey.objects.get().pk}/revoke")
    for page in (created, listed.content.decode(), asked.content.decode()):
        assert "&lt;script&gt;alert(1)" in page
        assert "<script>alert" not in page
        assert "<img src=x" not in page
    assert Page(listed).inline == []


@pytest.mark.parametrize(
    "fields",
    [
        {"name": " "},
        {"name": "a\0b"},
        {"name": "a\u202eb"},
        {"name": "a\x1b[2J"},
        {"name": "x" * 121},
        {"scope": "elsewhere"},
    ],
)
def test_what_makes_no_sense_makes_no_key(browser: Browser, member: User, fields: dict[str, str]) -> None:
    assert make(browser(member), **fields)[0] == 400
    assert not ApiKey.objects.exists()


def test_a_person_has_only_so_many_working_keys(browser: Browser, member: User, team: Team) -> None:
    keys_there = [keys.create(name="k", issuer=member, team=team)[0] for _ in range(MAX_LIVE_KEYS)]
    assert make(browser(member))[0] == 400
    keys_there[0].revoke()
    assert make(browser(member))[0] == 200


def test_a_revoked_key_stops_within_a_second(browser: Browser, member: User, api_key: str) -> None:
    client, key = browser(member), ApiKey.objects.get()
    keys.authenticate(api_key, None)
    assert client.get(f"{URL}/{key.pk}/revoke").status_code == 200
    keys.authenticate(api_key, None)
    client.post(f"{URL}/{key.pk}/revoke")
    with pytest.raises(RevokedKey):
        call_for_a_second(api_key)


def test_a_member_sees_his_own_keys_and_a_manager_everybodys(
    browser: Browser, owner: User, member: User, team: Team
) -> None:
    keys.create(name="of the owner", issuer=owner, team=team)
    keys.create(name="of the member", issuer=member, team=team)
    seen = browser(member).get(URL).content.decode()
    assert "of the member" in seen
    assert "of the owner" not in seen
    assert "of the member" in browser(owner).get(URL).content.decode()


def test_a_viewer_may_revoke_a_key_of_former_days_but_make_none(browser: Browser, member: User, team: Team) -> None:
    keys.create(name="of former days", issuer=member, team=team)
    team.memberships.filter(user=member).update(role="viewer")
    page = browser(member).get(URL)
    assert "Make the key" not in page.content.decode()
    assert browser(member).post(f"{URL}/{ApiKey.objects.get().pk}/revoke").status_code == 302
    assert ApiKey.objects.get().revoked_at is not None
