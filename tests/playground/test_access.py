import json
from typing import Any

import pytest
from django.test import Client

from accounts.models import Team, User
from playground.access import listed_projects
from playground.models import Preset
from tests.playground.cast import MODEL, PROJECT, Cast, browser, conversation_of

BASE = "/playground/conversations"
PEOPLE = ("member", "owner", "viewer", "stranger", "anonymous")

FILE = {"format": "parley-conversation", "version": 1, "model": MODEL, "turns": []}

PRESET = {"name": "Fox", "model": MODEL}

# What is asked for, and the status for the author himself, his team's owner, a viewer of the team, a stranger and an
# anonymous visitor.
TABLE = [
    ("GET", "{own}", None, (200, 404, 404, 404, 401)),
    ("PATCH", "{own}", {"draft": "x"}, (204, 404, 404, 404, 401)),
    ("POST", "{own}/clear", None, (200, 404, 404, 404, 401)),
    ("GET", "{own}/code", None, (200, 404, 404, 404, 401)),
    ("GET", "{own}/export?as=json", None, (200, 404, 404, 404, 401)),
    ("GET", "{own}/export?as=markdown", None, (200, 404, 404, 404, 401)),
    ("POST", f"{BASE}/import?project={PROJECT}", FILE, (201, 201, 201, 404, 401)),
    ("POST", f"{BASE}/import?project=elsewhere/inference", FILE, (404, 404, 404, 201, 401)),
    ("GET", f"/playground/presets?project={PROJECT}", None, (200, 200, 200, 404, 401)),
    ("POST", "/playground/presets", {**PRESET, "project": PROJECT}, (201, 201, 403, 404, 401)),
    ("POST", "/playground/presets", {**PRESET, "project": "elsewhere/inference"}, (404, 404, 404, 201, 401)),
    ("GET", "/playground/presets/{preset}/versions/1", None, (200, 200, 200, 404, 401)),
    ("DELETE", "/playground/presets/{preset}", None, (204, 204, 403, 404, 401)),
    ("DELETE", "{own}/messages/{message}", None, (204, 404, 404, 404, 401)),
    ("DELETE", "{own}", None, (204, 404, 404, 404, 401)),
    ("GET", f"{BASE}?project={PROJECT}", None, (200, 200, 200, 404, 401)),
    ("GET", f"{BASE}?project=no/such", None, (404, 404, 404, 404, 401)),
    ("GET", BASE, None, (404, 404, 404, 404, 401)),
    ("POST", BASE, {"project": PROJECT, "model": MODEL}, (201, 201, 201, 404, 401)),
    ("GET", f"/playground/balance?project={PROJECT}", None, (200, 200, 200, 404, 401)),
    ("GET", "/playground/balance?project=elsewhere/inference", None, (404, 404, 404, 200, 401)),
    ("POST", "/playground/code", {"project": PROJECT, "model": MODEL}, (200, 200, 200, 404, 401)),
    ("GET", "/playground/notices", None, (200, 200, 200, 200, 302)),
    ("GET", "/playground?conversation={id}", None, (200, 404, 404, 404, 302)),
    ("GET", "/playground?conversation=x", None, (404, 404, 404, 404, 302)),
    ("GET", "/playground", None, (200, 200, 200, 200, 302)),
    ("GET", "/", None, (200, 200, 200, 200, 302)),
    ("GET", f"/models/{MODEL}", None, (404, 404, 404, 404, 302)),
]


def ask(client: Client, method: str, url: str, body: Any) -> Any:
    content = json.dumps(body) if body else ""
    return client.generic(method, url, content, content_type="application/json")


@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]} {row[1]}")
def test_everyone_gets_what_is_theirs_and_no_more(cast: Cast, row: tuple[Any, ...], person: str) -> None:
    method, url, body, statuses = row
    conversation = conversation_of(cast.member)
    message = conversation.messages.create(role="user", position=0, content="private words")
    preset = Preset.objects.create(project=conversation.project, name="Owl", author=cast.member)
    preset.versions.create(number=1, model=MODEL)
    places = {"own": f"{BASE}/{conversation.pk}", "id": conversation.pk, "message": message.pk, "preset": preset.pk}
    address = url.format(**places)
    user: User | None = getattr(cast, person, None)
    response = ask(browser(user), method, address, body)
    assert response.status_code == statuses[PEOPLE.index(person)]
    if person != "member":
        assert b"private words" not in response.content
        assert conversation.messages.filter(content="private words").exists()


def test_a_member_who_left_the_team_no_longer_reads_what_he_wrote_there(cast: Cast) -> None:
    conversation = conversation_of(cast.member)
    cast.member.memberships.all().delete()
    assert browser(cast.member).get(f"{BASE}/{conversation.pk}").status_code == 404
    assert browser(cast.member).get("/playground").status_code == 200


def test_an_unsafe_request_without_its_token_is_refused(cast: Cast) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.member)
    assert client.post(BASE, {"project": PROJECT, "model": MODEL}, content_type="application/json").status_code == 403


def test_a_key_opens_no_page(cast: Cast) -> None:
    from accounts import keys

    _, secret = keys.create(name="program", issuer=cast.member, team=cast.team)
    refused = Client().get(f"{BASE}?project={PROJECT}", headers={"authorization": f"Bearer {secret}"})
    assert refused.status_code == 401


def test_an_operator_begins_in_a_team_of_his_own_and_may_look_into_all(cast: Cast) -> None:
    operator = User.objects.create_superuser("operator@example.org")
    Team.objects.create_with_owner("zoo", operator)
    paths = [project["path"] for project in listed_projects(operator)]
    assert paths == ["zoo/inference", "acme/inference", "elsewhere/inference"]
    assert [project["path"] for project in listed_projects(cast.member)] == [PROJECT]
