"""The page that moves money."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client

from accounts.models import Team, User
from credits.models import Entry
from credits.reports.balances import balance_of
from tests.console.conftest import Browser
from tests.console.scenes import Page

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/admin/credits/post/"


def form(client: Client, team: Team, **fields: str) -> dict[str, str]:
    ticket = Page(client.get(URL)).values["ticket"]
    return {"team": str(team.pk), "kind": "grant", "amount": "12.50", "reason": "welcome", "ticket": ticket, **fields}


def test_a_grant_shows_in_the_balance_at_once(browser: Browser, operator: User, owner: User, team: Team) -> None:
    client = browser(operator)
    response = client.post(URL, form(client, team), follow=True)
    assert "$12.50 posted to acme as entry #1" in response.content.decode()
    assert "$12.50" in browser(owner).get("/console/teams/acme/").content.decode()
    entry = Entry.objects.get()
    assert (entry.actor, entry.reason, entry.amount_nano) == (operator.email, "welcome", 12_500_000_000)


def test_a_correction_takes_back_at_most_what_is_available(browser: Browser, operator: User, team: Team) -> None:
    client = browser(operator)
    client.post(URL, form(client, team))
    client.post(URL, form(client, team, kind="correction", amount="-2.000000001", reason="typing error"))
    assert balance_of(team.pk).balance_nano == 10_499_999_999
    refused = client.post(URL, form(client, team, kind="correction", amount="-11", reason="too much"))
    assert refused.status_code == 400
    assert "Only $10.499999999 are available" in refused.content.decode()
    assert Entry.objects.count() == 2


def test_the_same_form_sent_twice_grants_once(browser: Browser, operator: User, team: Team) -> None:
    client = browser(operator)
    values = form(client, team)
    client.post(URL, values)
    again = client.post(URL, values, follow=True)
    assert "Nothing was moved a second time" in again.content.decode()
    assert balance_of(team.pk).balance_nano == 12_500_000_000


def test_a_double_click_grants_once(browser: Browser, operator: User, team: Team) -> None:
    values = form(browser(operator), team)
    clients = [browser(operator) for _ in range(6)]

    def click(client: Client) -> int:
        try:
            return client.post(URL, values).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(click, clients)) == {302}
    assert balance_of(team.pk).balance_nano == 12_500_000_000


def test_a_form_that_was_refused_can_be_sent_again(browser: Browser, operator: User, team: Team) -> None:
    client = browser(operator)
    page = client.post(URL, form(client, team, amount="12.0000000001"))
    assert page.status_code == 400
    values = {
        "team": str(team.pk),
        "kind": "grant",
        "amount": "1",
        "reason": "x",
        "ticket": Page(page).values["ticket"],
    }
    assert client.post(URL, values).status_code == 302


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": "-1"},
        {"amount": "0"},
        {"amount": "1e9"},
        {"amount": "NaN"},
        {"amount": "1,000"},
        {"amount": "99999999999"},
        {"amount": "0.0000000001"},
        {"reason": ""},
        {"reason": "two\nlines"},
        {"reason": "\u202eright to left"},
        {"reason": "x" * 501},
        {"kind": "charge"},
        {"kind": "correction", "amount": "0"},
        {"team": "999999"},
        {"team": "x"},
        {"ticket": ""},
        {"ticket": "made:up"},
    ],
)
def test_what_cannot_be_meant_moves_nothing(
    browser: Browser, operator: User, team: Team, fields: dict[str, str]
) -> None:
    client = browser(operator)
    assert client.post(URL, form(client, team) | fields).status_code == 400
    assert not Entry.objects.exists()


def test_a_grant_needs_its_csrf_token(operator: User, team: Team) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(operator)
    assert client.post(URL, form(client, team)).status_code == 403
    assert not Entry.objects.exists()


def test_a_clerk_needs_the_permission(browser: Browser, clerk: User, team: Team) -> None:
    client = browser(clerk)
    assert client.get(URL).status_code == 403
    clerk.user_permissions.add(Permission.objects.get(codename="add_entry"))
    client = browser(User.objects.get(pk=clerk.pk))
    assert client.post(URL, form(client, team)).headers["Location"] == "/admin/"
    assert balance_of(team.pk).balance_nano == 12_500_000_000
