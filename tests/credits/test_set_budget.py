"""``manage.py set_budget``: bounds for a team, a project and a key."""

import json
import re

import pytest
from channels.db import database_sync_to_async
from django.core.management import CommandError, call_command

from accounts import keys
from accounts.models import ApiKey, Project, Team, User
from credits import ledger
from credits.errors import BudgetLimit, InsufficientCredits
from credits.models import NANO, Budget

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def team(owner: User) -> Team:
    """A whole team, with its owner and its project."""
    return Team.objects.create_with_owner("budgeted", owner)


@pytest.fixture
def key(team: Team, owner: User) -> ApiKey:
    """A key of the team's owner."""
    return keys.create(name="budgeted", issuer=owner, team=team)[0]


async def hold(team: Team, project: Project, key: str) -> None:
    """Ask for one credit."""
    await ledger.hold(team.pk, NANO, run="run", project=str(project.pk), key=key, seconds=60)


@pytest.mark.parametrize("scope", ["team", "project", "key"])
async def test_a_budget_refuses_what_the_balance_would_pay(
    scope: str, team: Team, project: Project, key: ApiKey
) -> None:
    await ledger.agrant(team.pk, 10 * NANO, reason="test", actor="test")
    owner = {"team": team.slug, "project": str(project), "key": key.pk}[scope]
    await _call("set_budget", owner, "0.5", "--period", "day")
    with pytest.raises(InsufficientCredits) as refused:
        await hold(team, project, key.pk)
    assert isinstance(refused.value.refused_by, BudgetLimit)
    assert (refused.value.refused_by.scope, refused.value.refused_by.period) == (scope, "day")
    await _call("set_budget", owner, "none", "--period", "day")
    await hold(team, project, key.pk)


def test_it_says_what_was_set(team: Team, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("set_budget", team.slug, "12.50", "--json")
    assert json.loads(capsys.readouterr().out) == {
        "scope": "team",
        "reference": "",
        "period": "month",
        "limit": "12.500000000",
    }


@pytest.mark.parametrize("dollars", ["-1", "NaN", "lots", "1e30", "0.0000000001"])
def test_an_impossible_amount_is_refused(dollars: str, team: Team) -> None:
    with pytest.raises(CommandError):
        call_command("set_budget", team.slug, "--", dollars)
    assert not Budget.objects.exists()


def test_nobody_unknown_gets_a_budget(team: Team) -> None:
    for owner in ("nobody", f"{team.slug}/nowhere", "none/such"):
        with pytest.raises(CommandError):
            call_command("set_budget", owner, "1")


async def _call(*arguments: str) -> None:
    await database_sync_to_async(call_command)(*arguments)


async def test_the_refusal_names_the_budget_to_the_caller(team: Team, key: ApiKey) -> None:
    await ledger.agrant(team.pk, 10 * NANO, reason="test", actor="test")
    await _call("set_budget", key.pk, "0.5", "--period", "day")
    project = await database_sync_to_async(Project.objects.get)(team=team)
    with pytest.raises(InsufficientCredits) as refused:
        await hold(team, project, key.pk)
    assert f"what is left of the daily budget of the key {key.pk} (anew at " in refused.value.message
    assert re.search(r"\d{4}-\d\d-\d\d 00:00 UTC\) does not cover this request$", refused.value.message)


async def test_the_refusal_of_a_projects_budget_tells_no_number_of_ours(team: Team, key: ApiKey) -> None:
    await ledger.agrant(team.pk, 10 * NANO, reason="test", actor="test")
    await _call("set_budget", f"{team}/inference", "0.5", "--period", "total")
    project = await database_sync_to_async(Project.objects.get)(team=team)
    with pytest.raises(InsufficientCredits) as refused:
        await hold(team, project, key.pk)
    assert refused.value.message.endswith("what is left of the total budget of the project does not cover this request")


async def test_the_refusal_for_want_of_credits_says_so(team: Team, key: ApiKey) -> None:
    project = await database_sync_to_async(Project.objects.get)(team=team)
    with pytest.raises(InsufficientCredits) as refused:
        await hold(team, project, key.pk)
    assert refused.value.message.endswith("what is left of the credits does not cover this request")
