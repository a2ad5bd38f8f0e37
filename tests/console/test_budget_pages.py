"""Budgets of projects and keys, as a team's owners and admins set them."""

from typing import Any

import pytest
from django.test import Client

from accounts import keys
from accounts.models import Project, Team, User
from credits.budgets import limits
from credits.errors import InsufficientCredits
from credits.models import Budget
from tests.console.conftest import Browser
from tests.console.spending import DOLLAR, grant, spend, take

pytestmark = [pytest.mark.django_db, pytest.mark.either_database]

URL = "/console/teams/acme/billing/budgets"


def add(client: Client, project: Project, **fields: str) -> Any:
    values = {"owner": f"project:{project.pk}", "period": "month", "limit": "12.50", "alert_percents": "50, 80%"}
    return client.post(f"{URL}/add", values | fields)


def test_an_admin_sets_a_budget_that_binds_at_once(
    browser: Browser, admin: User, member: User, team: Team, project: Project
) -> None:
    grant(team)
    spend(project, member, 12 * DOLLAR)
    client = browser(admin)
    response = add(client, project)
    assert response.status_code == 302
    made = Budget.objects.get()
    assert (made.scope, made.reference, made.period) == ("project", str(project.pk), "month")
    assert (made.limit_nano, made.spent_nano, made.alert_percents) == (12_500_000_000, 12 * DOLLAR, "50,80")
    told = client.get(response.headers["Location"]).content.decode()
    assert "Set to $12.50; $12.00 of it is spent." in told
    assert isinstance(take(project, DOLLAR), InsufficientCredits)


def test_a_key_has_a_budget_of_its_own(
    browser: Browser, owner: User, member: User, team: Team, project: Project
) -> None:
    key, _ = keys.create(name="nightly", issuer=member, team=team)
    assert add(browser(owner), project, owner=f"key:{key.pk}", period="day", limit="0").status_code == 302
    made = Budget.objects.get()
    assert (made.scope, made.reference, made.limit_nano) == ("key", key.pk, 0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"limit": ""}, "This field is required"),
        ({"limit": "-5"}, "Write an amount of nothing or more"),
        ({"limit": "12,50"}, "Write plain dollars"),
        ({"limit": "1e9"}, "Write plain dollars"),
        ({"limit": "NaN"}, "Write plain dollars"),
        ({"limit": "1000000000.01"}, "Write plain dollars"),
        ({"limit": "9" * 5_000}, "Write plain dollars"),
        ({"limit": "0.0000000001"}, "Write plain dollars"),
        ({"limit": "\u0661\u0662"}, "Write plain dollars"),
        ({"alert_percents": "0"}, "Write whole percentages"),
        ({"alert_percents": "101"}, "Write whole percentages"),
        ({"alert_percents": "50.5"}, "Write whole percentages"),
        ({"alert_percents": "-5"}, "Write whole percentages"),
        ({"alert_percents": "\u0665"}, "Write whole percentages"),
        ({"alert_percents": ",".join(map(str, range(1, 50)))}, "thresholds fit"),
        ({"period": "year"}, "Select a valid choice"),
        ({"owner": "team:"}, "Select a valid choice"),
        ({"owner": "project:0"}, "Select a valid choice"),
        ({"owner": "key:AAAAAAAAAAAA"}, "Select a valid choice"),
    ],
)
def test_what_makes_no_sense_is_said_kept_and_sets_nothing(
    browser: Browser, owner: User, project: Project, fields: dict[str, str], words: str
) -> None:
    response = add(browser(owner), project, **fields)
    assert response.status_code == 400
    page = response.content.decode()
    assert words in page
    assert ('value="50, 80%"' in page) == ("alert_percents" not in fields)
    assert not Budget.objects.exists()


def test_another_teams_project_and_key_get_no_budget(
    browser: Browser, owner: User, stranger: User, project: Project
) -> None:
    foreign = Project.objects.get(team__slug="elsewhere")
    key, _ = keys.create(name="theirs", issuer=stranger, team=foreign.team)
    for owner_value in (f"project:{foreign.pk}", f"key:{key.pk}"):
        assert add(browser(owner), project, owner=owner_value).status_code == 400
    assert "theirs" not in browser(owner).get(f"{URL}/add").content.decode()
    assert not Budget.objects.exists()


def test_a_second_budget_for_the_same_is_led_to_the_first(browser: Browser, owner: User, project: Project) -> None:
    client = browser(owner)
    add(client, project)
    again = add(client, project, limit="99")
    assert again.status_code == 400
    assert f"{URL}/{Budget.objects.get().pk}" in again.content.decode()
    assert add(client, project, period="day").status_code == 302
    assert [budget.limit_nano for budget in Budget.objects.order_by("pk")] == [12_500_000_000] * 2


def test_a_budget_is_changed_and_shows_what_it_was(browser: Browser, owner: User, project: Project) -> None:
    client = browser(owner)
    add(client, project, limit="1234.5")
    made = Budget.objects.get()
    page = client.get(f"{URL}/{made.pk}").content.decode()
    assert 'value="1234.50"' in page
    assert 'value="50, 80"' in page
    assert client.post(f"{URL}/{made.pk}", {"limit": "$0.000000001", "alert_percents": ""}).status_code == 302
    made.refresh_from_db()
    assert (made.limit_nano, made.alert_percents) == (1, "")
    refused = client.post(f"{URL}/{made.pk}", {"limit": "much", "alert_percents": "7"})
    assert refused.status_code == 400
    assert 'value="much"' in refused.content.decode()


def test_of_the_teams_own_only_the_thresholds_are_set(browser: Browser, owner: User, team: Team) -> None:
    plan = limits.save_plan("Research", monthly_grant_nano=0, monthly_cap_nano=5 * DOLLAR)
    limits.set_plan(team.pk, plan.pk)
    limits.set_budget(team.pk, scope="team", period="day", limit_nano=2 * DOLLAR)
    client = browser(owner)
    for made in Budget.objects.all():
        page = client.get(f"{URL}/{made.pk}").content.decode()
        assert 'name="limit"' not in page
        assert "Remove it" not in page
        assert client.post(f"{URL}/{made.pk}", {"limit": "999", "alert_percents": "33"}).status_code == 302
        assert client.post(f"{URL}/{made.pk}/remove").status_code == 403
    assert sorted(Budget.objects.values_list("limit_nano", "alert_percents")) == [
        (2 * DOLLAR, "33"),
        (5 * DOLLAR, "33"),
    ]


def test_a_removed_budget_limits_nothing(browser: Browser, owner: User, team: Team, project: Project) -> None:
    grant(team)
    client = browser(owner)
    add(client, project, limit="0")
    made = Budget.objects.get()
    assert isinstance(take(project, DOLLAR), InsufficientCredits)
    assert "Remove this budget?" in client.get(f"{URL}/{made.pk}/remove").content.decode()
    assert client.post(f"{URL}/{made.pk}/remove").status_code == 302
    assert not isinstance(take(project, DOLLAR), InsufficientCredits)
    assert client.post(f"{URL}/{made.pk}/remove").status_code == 404
    assert client.post(f"{URL}/{made.pk}", {"limit": "5", "alert_percents": ""}).status_code == 404
    assert not Budget.objects.exists()


def test_a_revoked_key_is_not_offered_but_its_budget_stays(
    browser: Browser, owner: User, member: User, team: Team, project: Project
) -> None:
    key, _ = keys.create(name="nightly", issuer=member, team=team)
    add(browser(owner), project, owner=f"key:{key.pk}")
    key.revoke()
    assert f"key:{key.pk}" not in browser(owner).get(f"{URL}/add").content.decode()
    assert "Key nightly" in browser(owner).get("/console/teams/acme/billing").content.decode()
