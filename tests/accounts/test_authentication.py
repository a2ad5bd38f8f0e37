import asyncio
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from accounts import key_format, keys
from accounts.errors import (
    AuthenticationFailed,
    ExpiredKey,
    MalformedKey,
    MissingKey,
    ProjectOutsideScope,
    RevokedKey,
    UnknownKey,
    UnknownUser,
)
from accounts.models import ApiKey, Membership, Project, Team, User
from core import changes
from tests.accounts.scenes import outcome, queries, until_remembered
from tests.patience import eventually, until, within

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


def test_a_key_speaks_for_its_issuer_in_its_project(api_key: str, member: User, project: Project) -> None:
    caller = keys.authenticate(api_key, None)
    assert caller.path == "acme/inference"
    assert (caller.team_id, caller.project_id, caller.user_id) == (project.team_id, project.pk, member.pk)
    assert caller.key_id == ApiKey.objects.get().id
    assert caller.team_enabled


def test_only_the_digest_of_the_secret_is_stored(api_key: str) -> None:
    row = ApiKey.objects.values().get()
    assert row["digest"] == key_format.digest(api_key)
    assert not any(api_key[-49:] in str(value) for value in row.values())


def test_a_project_key_reaches_only_its_project(api_key: str, team: Team) -> None:
    team.projects.create(slug="research")
    assert keys.authenticate(api_key, "acme/inference").project == "inference"
    assert outcome(lambda: keys.authenticate(api_key, "acme/research")) is ProjectOutsideScope


def test_a_team_key_reaches_every_project_of_its_team_and_the_default_one_without_a_header(
    team: Team, owner: User
) -> None:
    team.projects.create(slug="research")
    _, secret = keys.create(name="team", issuer=owner, team=team)
    assert keys.authenticate(secret, "acme/research").path == "acme/research"
    assert keys.authenticate(secret, None).path == "acme/inference"
    assert keys.authenticate(secret, "").path == "acme/inference"
    team.projects.get(slug="inference").delete()
    within(1, lambda: outcome(lambda: keys.authenticate(secret, None)) is ProjectOutsideScope)


def test_another_teams_project_is_refused(team: Team, owner: User, stranger: User) -> None:
    _, secret = keys.create(name="team", issuer=owner, team=team)
    assert outcome(lambda: keys.authenticate(secret, "elsewhere/inference")) is ProjectOutsideScope


@pytest.mark.parametrize(
    "header",
    [
        "inference",
        "acme",
        "acme/",
        "/inference",
        "acme/inference/x",
        "a/b/c/d",
        " acme/inference",
        "acme/ inference",
        "acme/inference\n",
        "acme/inference\0",
        "ACME/inference",
        "acme\u2215inference",
        "äcme/inference",
        "acme/" + "x" * 100_000,
        "../inference",
        "acme/%",
    ],
)
def test_whatever_else_the_header_holds_is_refused_cleanly_and_without_a_query(api_key: str, header: str) -> None:
    with pytest.raises(AuthenticationFailed) as failure:
        keys.authenticate(api_key, header)
    assert failure.value.message == "Authentication failed"
    if header != "../inference":
        assert queries(lambda: keys.authenticate(api_key, header)) == 0


@pytest.mark.parametrize("secret", ["parley_", "x" * 1_000_000, "parley_\0", "pärley", "\ud800", "sk-abc", "Bearer x"])
def test_a_malformed_secret_fails_without_a_query(secret: str, team: Team) -> None:
    assert outcome(lambda: keys.authenticate(secret, None)) is MalformedKey
    assert queries(lambda: keys.authenticate(secret, None)) == 0


def test_a_mistyped_secret_fails_on_its_checksum_without_a_query(api_key: str) -> None:
    mistyped = api_key[:30] + ("A" if api_key[30] != "A" else "B") + api_key[31:]
    assert outcome(lambda: keys.authenticate(mistyped, None)) is MalformedKey
    assert queries(lambda: keys.authenticate(mistyped, None)) == 0


def test_a_missing_secret_is_told_apart_from_a_wrong_one_and_the_wrong_ones_are_all_alike(api_key: str) -> None:
    for secret in (None, ""):
        with pytest.raises(MissingKey, match=r"^Missing bearer authentication in header$"):
            keys.authenticate(secret, None)
    wrong: tuple[type[AuthenticationFailed], ...]
    wrong = (MalformedKey, UnknownKey, RevokedKey, ExpiredKey, UnknownUser, ProjectOutsideScope)
    assert {error().message for error in wrong} == {"Authentication failed"}


def test_the_same_caller_again_costs_no_query(api_key: str) -> None:
    assert queries(lambda: keys.authenticate(api_key, None)) > 0
    until_remembered(lambda: keys.authenticate(api_key, None))


def test_an_unknown_key_again_costs_no_query_and_works_soon_after_it_is_made(member: User, project: Project) -> None:
    key_id, secret = key_format.generate()
    until_remembered(lambda: keys.authenticate(secret, None))
    assert outcome(lambda: keys.authenticate(secret, None)) is UnknownKey
    ApiKey.objects.create(
        id=key_id, digest=key_format.digest(secret), name="late", issuer=member, team=project.team, project=project
    )
    within(1, lambda: outcome(lambda: keys.authenticate(secret, None)) is None)


def test_what_a_transaction_saw_and_rolled_back_is_not_remembered(member: User, team: Team) -> None:
    until(changes.is_watching)
    with transaction.atomic():
        _, secret = keys.create(name="never", issuer=member, team=team)
        assert outcome(lambda: keys.authenticate(secret, None)) is None
        transaction.set_rollback(True)
    assert outcome(lambda: keys.authenticate(secret, None)) is UnknownKey


def test_a_revoked_key_is_refused_at_once_where_it_was_revoked(api_key: str) -> None:
    until_remembered(lambda: keys.authenticate(api_key, None))
    key = ApiKey.objects.get()
    key.revoke()
    assert outcome(lambda: keys.authenticate(api_key, None)) is RevokedKey
    first = key.revoked_at
    key.revoke()
    assert key.revoked_at == first


def test_expiry_is_honoured_though_the_caller_is_remembered(member: User, project: Project) -> None:
    soon = timezone.now() + timedelta(seconds=1.5)
    _, secret = keys.create(name="short", issuer=member, team=project.team, project=project, expires_at=soon)
    until_remembered(lambda: keys.authenticate(secret, None))
    assert outcome(lambda: keys.authenticate(secret, None)) is None or timezone.now() >= soon
    until(lambda: timezone.now() >= soon)
    assert outcome(lambda: keys.authenticate(secret, None)) is ExpiredKey


def test_a_key_of_an_operator_works_in_a_team_that_is_not_his(team: Team) -> None:
    operator = User.objects.create_superuser("operator@example.org")
    _, secret = keys.create(name="ops", issuer=operator, team=team)
    assert keys.authenticate(secret, None).user_id == operator.pk


def test_a_key_cannot_be_made_that_would_not_work(
    team: Team, project: Project, owner: User, viewer: User, stranger: User
) -> None:
    elsewhere = Team.objects.get(slug="elsewhere").projects.get()
    past = timezone.now() - timedelta(seconds=1)
    for issuer in (viewer, stranger):
        with pytest.raises(ValidationError, match="may not call"):
            keys.create(name="x", issuer=issuer, team=team)
    with pytest.raises(ValidationError, match="does not belong"):
        keys.create(name="x", issuer=owner, team=team, project=elsewhere)
    with pytest.raises(ValidationError, match="in the future"):
        keys.create(name="x", issuer=owner, team=team, expires_at=past)
    for name in ("", "  ", "a\0b", "x" * 121):
        with pytest.raises(ValidationError):
            keys.create(name=name, issuer=owner, team=team)
    assert not ApiKey.objects.exists()


async def test_async_callers_get_the_same_and_need_no_thread_once_remembered(api_key: str) -> None:
    def ask() -> object:
        return keys.authenticate(api_key, "acme/inference")

    def answered_without_waiting() -> bool:
        step = keys.aauthenticate(api_key, "acme/inference")
        try:
            step.send(None)
        except StopIteration as ended:
            return bool(ended.value.path == "acme/inference")
        step.close()
        return False

    await asyncio.to_thread(until_remembered, ask)
    await eventually(answered_without_waiting)
    with pytest.raises(MissingKey):
        await keys.aauthenticate(None, None)
    with pytest.raises(ProjectOutsideScope):
        await keys.aauthenticate(api_key, "acme/other")


async def test_a_caller_admitted_earlier_can_be_checked_again(api_key: str, project: Project) -> None:
    caller = await keys.aauthenticate(api_key, None)
    assert await keys.acheck(caller) == caller
    await Membership.objects.filter(user_id=caller.user_id).aupdate(role=Membership.Role.VIEWER)

    async def is_refused() -> bool:
        try:
            await keys.acheck(caller)
        except UnknownUser:
            return True
        return False

    await eventually(is_refused, 1)
