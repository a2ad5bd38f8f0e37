"""The warning that credits run low: whom it binds, what it names, and what each person can do."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import keys
from accounts.models import Project, Team, User
from console.alerts.notices import Notice, notices_of, team_notices
from console.templatetags.credit import binds
from credits import ledger
from credits.budgets import limits
from credits.models import Budget
from tests.console.conftest import Browser
from tests.console.spending import DOLLAR, grant, spend

pytestmark = [pytest.mark.django_db, pytest.mark.either_database]

BILLING, PLAYGROUND = "/console/teams/acme/billing", "/playground"


@pytest.fixture
def spent(team: Team, project: Project, member: User) -> Team:
    """A team that spent 90% of what its project may spend in a month."""
    grant(team)
    reference = str(project.pk)
    limits.set_budget(team.pk, scope="project", reference=reference, period="month", limit_nano=10 * DOLLAR)
    spend(project, member, 9 * DOLLAR)
    return team


def test_from_ninety_percent_on_everyone_is_told_what_they_can_do(
    browser: Browser, owner: User, member: User, spent: Team
) -> None:
    words = "90% of the monthly budget of project acme/inference is spent"
    for address in (BILLING, "/console/teams/acme/", "/console/teams/acme/keys", PLAYGROUND):
        page = browser(owner).get(address).content.decode()
        assert words in page, address
        assert f"{BILLING}/budgets/{Budget.objects.get().pk}" in page
        page = browser(member).get(address).content.decode()
        assert words in page
        assert "An owner or admin of acme can raise it" in page
        assert "/billing/budgets/" not in page


def test_below_that_nobody_is_told(browser: Browser, owner: User, spent: Team) -> None:
    Budget.objects.update(spent_nano=9 * DOLLAR - 1)
    for address in (BILLING, PLAYGROUND):
        assert "data-notice=" not in browser(owner).get(address).content.decode()


def test_a_budget_that_is_used_up_says_until_when(browser: Browser, owner: User, spent: Team) -> None:
    Budget.objects.update(spent_nano=10 * DOLLAR)
    page = browser(owner).get(BILLING).content.decode()
    assert "The monthly budget of project acme/inference is used up" in page
    assert "New requests are refused until" in page
    assert "00:00 UTC" in page


def test_the_teams_own_limits_are_for_an_operator_to_raise(
    browser: Browser, owner: User, member: User, team: Team, project: Project
) -> None:
    grant(team)
    plan = limits.save_plan("Research", monthly_grant_nano=0, monthly_cap_nano=DOLLAR)
    limits.set_plan(team.pk, plan.pk)
    spend(project, member, DOLLAR)
    page = browser(owner).get(BILLING).content.decode()
    assert "The monthly cap of the plan of team acme is used up" in page
    assert "An operator of this site can raise it" in page
    assert "can ask an operator to raise it" in browser(member).get(PLAYGROUND).content.decode()


def test_a_balance_below_the_teams_mark_is_told(
    browser: Browser, owner: User, member: User, operator: User, team: Team
) -> None:
    grant(team, 2)
    limits.set_low_balance(team.pk, 2 * DOLLAR)
    assert team_notices(team) == []
    limits.set_low_balance(team.pk, 3 * DOLLAR)
    page = browser(owner).get(BILLING).content.decode()
    assert "Credits of team acme run low" in page
    assert "the balance is $2.00, below the $3.00" in page
    assert "Credits of team acme run low" in browser(member).get(PLAYGROUND).content.decode()
    assert "Grant credits" in browser(operator).get(BILLING).content.decode()
    ledger.correct(team.pk, -2 * DOLLAR, reason="gone", actor="tests")
    assert "are used up" in browser(owner).get(BILLING).content.decode()


def test_the_playground_hides_what_binds_another_project(browser: Browser, owner: User, spent: Team) -> None:
    other = spent.projects.create(slug="reports")
    notice = 'data-credits-of="acme/inference"'
    assert f"{notice}>" in browser(owner).get(f"{PLAYGROUND}?project=acme/inference").content.decode()
    assert f"{notice} hidden>" in browser(owner).get(f"{PLAYGROUND}?project={other}").content.decode()


@pytest.mark.parametrize(
    ("place", "path", "expected"),
    [
        ("acme/", "acme/inference", True),
        ("acme/inference", "acme/inference", True),
        ("acme/inference", "acme/inference-2", False),
        ("acme/", "acme-two/inference", False),
        ("acme/", "", False),
    ],
)
def test_a_notice_binds_its_project_or_all_of_its_team(place: str, path: str, expected: bool) -> None:
    assert binds(Notice(place, 1), path) is expected


def test_a_key_that_runs_dry_warns_nobody_else(browser: Browser, owner: User, member: User, team: Team) -> None:
    key, _ = keys.create(name="nightly", issuer=member, team=team)
    limits.set_budget(team.pk, scope="key", reference=key.pk, period="total", limit_nano=0)
    assert team_notices(team) == []


def test_a_stranger_is_told_nothing_of_the_team(browser: Browser, stranger: User, spent: Team) -> None:
    assert notices_of(stranger) == []
    assert "acme" not in browser(stranger).get(PLAYGROUND).content.decode()


def test_the_name_that_puts_a_notice_away_changes_when_it_grows_worse(spent: Team) -> None:
    (warned,) = team_notices(spent)
    Budget.objects.update(spent_nano=9 * DOLLAR + 1)
    assert [notice.id for notice in team_notices(spent)] == [warned.id]
    Budget.objects.update(spent_nano=10 * DOLLAR)
    (worse,) = team_notices(spent)
    assert worse.id != warned.id


def test_looking_for_notices_costs_the_same_for_many_teams(operator: User, owner: User, spent: Team) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as captured:
            notices_of(operator)
        return len(captured)

    before = count()
    for number in range(3):
        team = Team.objects.create_with_owner(f"t{number}", owner)
        limits.set_low_balance(team.pk, DOLLAR)
        for scope, reference in (("team", ""), ("project", str(team.projects.get().pk))):
            limits.set_budget(team.pk, scope=scope, reference=reference, period="day", limit_nano=0)
    assert count() == before <= 3
    assert len(notices_of(operator)) == 10


def test_a_budget_that_names_another_teams_project_tells_nothing_of_that(
    browser: Browser, owner: User, stranger: User, team: Team
) -> None:
    foreign = Project.objects.get(team__slug="elsewhere")
    for reference in (str(foreign.pk), "nonsense", "9" * 40):
        limits.set_budget(team.pk, scope="project", reference=reference, period="day", limit_nano=0)
    assert team_notices(team) == []
    assert "elsewhere" not in browser(owner).get(BILLING).content.decode()
