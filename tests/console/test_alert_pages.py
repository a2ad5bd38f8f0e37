"""What a team's owners and admins are warned of: the thresholds, the people, and what was sent when."""

import re

import pytest
from django.core import mail
from django.utils import timezone
from pytest_django import Settings

from accounts.models import Project, Team, User
from credits import alerts
from credits.budgets import limits
from credits.models import Account, Alert
from tests.console.conftest import Browser
from tests.console.spending import DOLLAR, grant, spend

pytestmark = [pytest.mark.django_db, pytest.mark.either_database]

URL = "/console/teams/acme/billing/alerts"


def test_the_mark_of_a_low_balance_is_set_and_shown(browser: Browser, owner: User, team: Team) -> None:
    client = browser(owner)
    assert client.post(f"{URL}/low-balance", {"low_balance": "2.5"}).status_code == 302
    assert Account.objects.get().low_balance_nano == 2_500_000_000
    assert 'value="2.50"' in client.get(URL).content.decode()
    for nonsense in ("", "-1", "lots", "1,5"):
        refused = client.post(f"{URL}/low-balance", {"low_balance": nonsense})
        assert refused.status_code == 400
        assert f'value="{nonsense}"' in refused.content.decode() or not nonsense
    assert Account.objects.get().low_balance_nano == 2_500_000_000


def test_other_addresses_are_told_too(browser: Browser, admin: User, team: Team) -> None:
    client = browser(admin)
    typed = " Finance@example.org\r\n\r\nboss@example.org "
    assert client.post(f"{URL}/addresses", {"addresses": typed}).status_code == 302
    assert alerts.recipients(team.pk).addresses == ["boss@example.org", "finance@example.org"]
    assert "boss@example.org\nfinance@example.org" in client.get(URL).content.decode()
    many = "\n".join(f"p{number}@example.org" for number in range(alerts.MAX_ADDRESSES + 1))
    for nonsense in ("nobody", "a@b\x00.org", "x@example.org, y@example.org", many, "evil@example.org\nbcc: all"):
        refused = client.post(f"{URL}/addresses", {"addresses": nonsense})
        assert refused.status_code == 400, nonsense
    assert "bcc: all" in refused.content.decode()
    assert len(alerts.recipients(team.pk).addresses) == 2
    assert client.post(f"{URL}/addresses", {"addresses": ""}).status_code == 302
    assert alerts.recipients(team.pk).addresses == []


def test_an_address_is_asked_first_and_says_yes_or_no(browser: Browser, admin: User, team: Team) -> None:
    client, nobody = browser(admin), browser(None)
    client.post(f"{URL}/addresses", {"addresses": "finance@example.org"})
    (asked,) = mail.outbox
    assert asked.to == ["finance@example.org"]
    link = re.findall(r"http://testserver(/alert-address\?token=\S+)", str(asked.body))[0]
    assert "has not agreed yet" in client.get(URL).content.decode()
    assert "finance@example.org" not in alerts.recipients(team.pk).emails
    # Opening the link alone, as mail programs do, agrees to nothing.
    assert nobody.get(link).status_code == 200
    assert "finance@example.org" not in alerts.recipients(team.pk).emails
    nobody.post(link, {"wanted": "yes"})
    assert "finance@example.org" in alerts.recipients(team.pk).emails
    client.post(f"{URL}/addresses", {"addresses": "finance@example.org"})
    assert len(mail.outbox) == 1
    nobody.post(link, {"wanted": "no"})
    assert alerts.recipients(team.pk).addresses == []
    assert nobody.get(link).status_code == 404
    assert nobody.get("/alert-address?token=x").status_code == 404


def test_everyone_decides_for_themselves_whether_to_be_told(
    browser: Browser, owner: User, admin: User, team: Team
) -> None:
    client = browser(admin)
    assert "Do not tell me" in client.get(URL).content.decode()
    client.post(f"{URL}/own", {"is_told": "no"})
    assert alerts.recipients(team.pk).emails == [owner.email]
    assert "Tell me again" in client.get(URL).content.decode()
    client.post(f"{URL}/own", {"is_told": "yes"})
    assert alerts.recipients(team.pk).emails == [admin.email, owner.email]


def test_an_operator_who_is_not_in_the_team_is_not_told(browser: Browser, operator: User, team: Team) -> None:
    page = browser(operator).post(f"{URL}/own", {"is_told": "no"}, follow=True)
    assert "Only an owner or admin hears of alerts" in page.content.decode()
    assert "Do not tell me" not in page.content.decode()


def test_what_was_reached_and_what_was_sent_is_listed(
    browser: Browser, owner: User, member: User, team: Team, project: Project
) -> None:
    grant(team, 10)
    limits.set_low_balance(team.pk, 9 * DOLLAR)
    limits.set_budget(
        team.pk,
        scope="project",
        reference=str(project.pk),
        period="month",
        limit_nano=4 * DOLLAR,
        alert_percents=[50, 80],
    )
    spend(project, member, 2 * DOLLAR)
    half = Alert.objects.get(percent=50)
    Alert.objects.filter(pk=half.pk).update(sent_at=timezone.now(), sent_to="boss@example.org")
    Alert.objects.filter(percent=None).update(error="ConnectionRefusedError: secret.mail.host", attempts=3)
    page = browser(owner).get(URL).content.decode()
    for words in ("50% of Project inference", "Low balance", "boss@example.org", "tried 3 times", "$8.00", "$2.00"):
        assert words in page, words
    assert "80% of" not in page
    # Where the site's mail server is, is the operators' business.
    assert "secret.mail.host" not in page


def test_without_a_mail_server_that_is_said(browser: Browser, owner: User, team: Team, settings: Settings) -> None:
    settings.EMAIL_HOST = ""
    assert "no mail server" in browser(owner).get(URL).content.decode()
    settings.EMAIL_HOST = "mail.example.org"
    page = browser(owner).get(URL).content.decode()
    assert "no mail server" not in page
    for words in ("No budgets", "No alerts so far"):
        assert words in page
