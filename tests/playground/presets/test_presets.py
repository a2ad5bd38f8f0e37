"""Settings under a name, shared in a project, with all that was saved under it before."""

import json
from typing import Any

import pytest

from accounts.models import Membership, User
from playground import limits
from playground.models import Preset
from tests.playground.cast import MODEL, PROJECT, Cast, browser

pytestmark = [pytest.mark.django_db, pytest.mark.either_database]

BASE = "/playground/presets"
SETTINGS = {"model": MODEL, "system_prompt": "Be brief.", "parameters": {"temperature": 0.5}}


def save(user: User, **fields: Any) -> Any:
    body = {"project": PROJECT, "name": "Fox", **SETTINGS, **fields}
    return browser(user).post(BASE, json.dumps(body), content_type="application/json")


def presets(user: User) -> Any:
    return browser(user).get(BASE, {"project": PROJECT}).json()["presets"]


def test_a_preset_is_everybodys_in_the_project(cast: Cast) -> None:
    (saved,) = save(cast.member, description="Short answers").json()["presets"]
    assert (saved["name"], saved["description"], saved["version"]) == ("Fox", "Short answers", 1)
    (seen,) = presets(cast.viewer)
    found = browser(cast.viewer).get(f"{BASE}/{seen['id']}/versions/1")
    assert found.json() == SETTINGS


def test_saving_again_makes_a_version_and_keeps_the_older_one(cast: Cast) -> None:
    save(cast.member)
    (saved,) = save(cast.owner, system_prompt="Be long.", name=" Fox\n").json()["presets"]
    assert saved["version"] == 2
    place = f"{BASE}/{saved['id']}/versions"
    prompts = [browser(cast.member).get(f"{place}/{number}").json()["system_prompt"] for number in (1, 2)]
    assert prompts == ["Be brief.", "Be long."]
    assert browser(cast.member).get(f"{place}/3").status_code == 404


def test_a_preset_is_removed_by_its_author_or_a_manager(cast: Cast) -> None:
    save(cast.owner)
    (preset,) = presets(cast.member)
    assert not preset["may_remove"]
    refused = browser(cast.member).delete(f"{BASE}/{preset['id']}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    # Whoever may only look any more removes nothing, not even what is one's own.
    save(cast.member, name="Owl")
    own = Preset.objects.get(name="Owl")
    cast.member.memberships.update(role=Membership.Role.VIEWER)
    assert browser(cast.member).delete(f"{BASE}/{own.pk}").status_code == 403
    for each in presets(cast.owner):
        assert browser(cast.owner).delete(f"{BASE}/{each['id']}").status_code == 204
    assert presets(cast.owner) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "\u202e"},
        {"name": "x" * (limits.MAX_PRESET_NAME_CHARACTERS + 1)},
        {"model": ""},
        {"parameters": {"temperature": 3}},
        {"key": "secret"},
    ],
)
def test_a_preset_of_another_shape_is_refused(cast: Cast, fields: dict[str, Any]) -> None:
    assert save(cast.member, **fields).status_code == 400
    assert not Preset.objects.exists()


def test_a_project_has_so_many_presets_and_no_more(cast: Cast) -> None:
    project = cast.team.projects.get(slug="inference")
    names = (f"preset {number}" for number in range(limits.MAX_PRESETS_PER_PROJECT))
    Preset.objects.bulk_create([Preset(project=project, name=name) for name in names])
    assert save(cast.member).json()["error"]["code"] == "limit_reached"
    assert not Preset.objects.filter(name="Fox").exists()
