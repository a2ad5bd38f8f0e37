import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts import keys
from accounts.errors import RevokedKey
from accounts.models import ApiKey, Membership, Project, SecondFactor, Team, User
from tests.accounts.scenes import manage, outcome

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


def run(*arguments: str) -> str:
    output = StringIO()
    call_command(*arguments, stdout=output)
    return output.getvalue()


def run_json(*arguments: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(run(*arguments, "--json"))
    return values


def test_an_operator_sets_up_a_team_and_ends_a_key_from_the_command_line() -> None:
    finished = manage("create_team", "acme", "--owner", "ada@example.org", "--json")
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout)["owner_created"] is True
    assert manage("create_project", "acme/research").returncode == 0
    finished = manage("create_key", "acme/research", "--name", "laptop", "--json")
    made = json.loads(finished.stdout)
    assert keys.authenticate(made["api_key"], None).path == "acme/research"
    assert manage("revoke_key", made["api_key"]).returncode == 0
    assert ApiKey.objects.get(pk=made["id"]).revoked_at is not None


def test_a_new_owner_is_made_without_a_password_and_that_is_said() -> None:
    said = run("create_team", "acme", "--owner", "Ada@Example.org")
    assert "Made the user ada@example.org too, without a password" in said
    user = User.objects.get()
    assert user.is_active
    assert not user.has_usable_password()
    assert user.memberships.get().role == Membership.Role.OWNER
    assert Project.objects.get().slug == "inference"


def test_a_known_owner_is_kept(owner: User) -> None:
    assert run_json("create_team", "another", "--owner", "OWNER@example.org")["owner_created"] is False
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["create_team", "acme", "--owner", "new@example.org"], "There is already a team 'acme'"),
        (["create_team", "Bad Name", "--owner", "new@example.org"], "cannot be a name"),
        (["create_team", "new", "--owner", "nonsense"], "valid email"),
        (["create_project", "acme/inference"], "There is already a project"),
        (["create_project", "nobody/inference"], "There is no team 'nobody'"),
        (["create_project", "acme"], "TEAM/PROJECT"),
        (["create_project", "acme/a/b"], "TEAM/PROJECT"),
        (["create_project", "acme/UPPER"], "cannot be a name"),
        (["create_key", "acme/nothing", "--name", "x"], "There is no project"),
        (["create_key", "acme/inference", "--name", " "], "Give the key a name"),
        (["create_key", "acme/inference", "--name", "x", "--issuer", "nobody@example.org"], "There is no user"),
        (["create_key", "acme/inference", "--name", "x", "--issuer", "viewer@example.org"], "may not call"),
        (["create_key", "acme/inference", "--name", "x", "--expires-in-days", "0"], "1 to 36500 days"),
        (["revoke_key", "nothing"], "There is no key"),
        (["revoke_key", "abc"], "at least 4"),
        (["revoke_key", ""], "at least 4"),
        (["revoke_key", "parley_" + "x" * 62], "mistyped"),
    ],
)
def test_a_mistake_is_told_in_a_sentence_and_leaves_nothing_behind(
    viewer: User, arguments: list[str], sentence: str
) -> None:
    with pytest.raises(CommandError, match=sentence):
        run(*arguments)
    assert (Team.objects.count(), Project.objects.count(), User.objects.count()) == (1, 1, 2)
    assert not ApiKey.objects.exists()


def test_a_mistake_ends_the_process_with_an_error(team: Team) -> None:
    finished = manage("create_team", "acme", "--owner", "owner@example.org")
    assert finished.returncode != 0
    assert finished.stdout == ""
    assert finished.stderr.strip() == "CommandError: There is already a team 'acme'."


def test_a_key_is_issued_by_the_first_active_owner(team: Team, member: User) -> None:
    second = User.objects.create_user("second@example.org")
    team.memberships.create(user=second, role=Membership.Role.OWNER)
    assert run_json("create_key", "acme/inference", "--name", "a")["issuer"] == "owner@example.org"
    User.objects.filter(email="owner@example.org").update(is_active=False)
    assert run_json("create_key", "acme/inference", "--name", "b")["issuer"] == "second@example.org"
    User.objects.filter(pk=second.pk).update(is_active=False)
    with pytest.raises(CommandError, match="no active owner"):
        run("create_key", "acme/inference", "--name", "c")


def test_a_team_wide_key_that_expires(team: Team) -> None:
    made = run_json("create_key", "acme/inference", "--name", "all", "--team-wide", "--expires-in-days", "7")
    key = ApiKey.objects.get(pk=made["id"])
    assert key.project is None
    assert key.expires_at
    assert abs(key.expires_at - timezone.now() - timedelta(days=7)) < timedelta(minutes=1)


def test_a_key_is_revoked_by_id_beginning_or_secret(member: User, team: Team) -> None:
    for form in ("id", "beginning", "shown", "secret"):
        key, secret = keys.create(name=form, issuer=member, team=team)
        name = {"id": key.id, "beginning": key.id[:6], "shown": f"parley_{key.id}…", "secret": secret}[form]
        assert run_json("revoke_key", name)["id"] == key.id
        assert outcome(lambda secret=secret: keys.authenticate(secret, None)) is RevokedKey  # type: ignore[misc]


def test_an_ambiguous_beginning_revokes_nothing_and_case_matters(member: User, team: Team) -> None:
    for key_id in ("AAAAbbbbbbb1", "AAAAbbbbbbb2", "aaaacccccccc"):
        ApiKey.objects.create(id=key_id, digest=key_id, name="x", issuer=member, team=team)
    with pytest.raises(CommandError, match="2 keys begin"):
        run("revoke_key", "AAAA")
    assert not ApiKey.objects.exclude(revoked_at=None).exists()
    assert run_json("revoke_key", "aaaa")["id"] == "aaaacccccccc"


def test_revoking_twice_keeps_the_first_time(api_key: str) -> None:
    key_id = ApiKey.objects.get().id
    first = run_json("revoke_key", key_id)
    again = run_json("revoke_key", key_id)
    assert again["already_revoked"]
    assert again["revoked_at"] == first["revoked_at"]


def test_an_operator_turns_a_second_factor_off(owner: User) -> None:
    SecondFactor.objects.create(user=owner, secret="A" * 32, last_step=0)
    assert run_json("turn_second_factor_off", "OWNER@example.org") == {"user": owner.email, "was_on": True}
    assert run_json("turn_second_factor_off", owner.email) == {"user": owner.email, "was_on": False}
    with pytest.raises(CommandError, match="no user"):
        run("turn_second_factor_off", "nobody@example.org")
