"""What people read when an alert reaches them."""

from datetime import datetime

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts import keys
from accounts.models import Project, Team, User
from console.alerts.email import alert_email
from credits import ledger
from credits.budgets import limits
from credits.models import NANO, Alert, Budget

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def rich(team: Team, settings: Settings) -> Team:
    """The team with ten dollars, on a site with a name."""
    settings.PUBLIC_URL = "https://parley.example.org"
    settings.DEFAULT_FROM_EMAIL = "credits@example.org"
    ledger.grant(team.pk, 10 * NANO, reason="start", actor="tests")
    return team


def alert(team: Team, budget: Budget | None, percent: int | None, reached_nano: int) -> Alert:
    """Make an alert of a budget, or of a balance that fell below five dollars."""
    return Alert.objects.create(
        account_id=team.pk,
        budget=budget,
        percent=percent,
        window_start=budget.window_start if budget else timezone.now(),
        limit_nano=budget.limit_nano if budget else 5 * NANO,
        reached_nano=reached_nano,
        created_at=timezone.now(),
    )


def test_it_says_what_was_reached_what_is_left_and_what_to_do(rich: Team, project: Project) -> None:
    budget = limits.set_budget(rich.pk, scope="project", reference=str(project.pk), period="month", limit_nano=4 * NANO)
    written = alert_email(rich, [alert(rich, budget, 50, 2 * NANO)], "ada@example.org")
    assert written.subject == "[Parley] acme: 50% of the monthly budget of project acme/inference is spent"
    assert (written.from_email, written.to) == ("Parley <credits@example.org>", ["ada@example.org"])
    now = timezone.now()
    first = datetime(now.year + now.month // 12, now.month % 12 + 1, 1)
    assert (
        written.body
        == f"""Team acme:

50% of the monthly budget of project acme/inference is spent.
$2.00 of $4.00 was spent.
$4.00 of it can be spent now; beyond that, requests are refused.
It starts anew on {first:%Y-%m-%d} at 00:00 UTC.
An owner or admin of the team can raise it.

The whole team may still spend $10.00 of its balance.

Balance, budgets and usage:
https://parley.example.org/console/teams/acme/billing

You get this as one of the people who are told of this team's alerts. To change that:
https://parley.example.org/console/teams/acme/billing/alerts
"""
    )


def test_of_one_budgets_thresholds_it_names_the_highest(rich: Team) -> None:
    total = limits.set_budget(rich.pk, scope="team", period="total", limit_nano=4 * NANO)
    reached = [alert(rich, total, percent, 4 * NANO) for percent in (50, 100, 80)]
    written = alert_email(rich, reached, "ada@example.org")
    assert written.subject == "[Parley] acme: 100% of the total budget of team acme is spent"
    assert "It never starts anew." in written.body
    assert "50%" not in written.body


def test_several_things_are_told_in_one_letter(rich: Team) -> None:
    limits.set_plan(rich.pk, limits.save_plan("free", monthly_grant_nano=0, monthly_cap_nano=2 * NANO).pk)
    cap = Budget.objects.get()
    reached = [alert(rich, cap, 90, 2 * NANO), alert(rich, None, None, 3 * NANO)]
    written = alert_email(rich, reached, "ada@example.org")
    assert written.subject == "[Parley] acme: 2 alerts"
    assert "90% of the plan's monthly cap is spent." in written.body
    assert "The balance is below $5.00.\nIt was $3.00." in written.body


def test_a_name_that_somebody_typed_breaks_no_line(rich: Team, owner: User) -> None:
    key, _ = keys.create(name="nightly", issuer=owner, team=rich)
    type(key).objects.update(name="x\r\nBcc: everyone@example.org")
    budget = limits.set_budget(rich.pk, scope="key", reference=key.pk, period="day", limit_nano=0)
    written = alert_email(rich, [alert(rich, budget, 50, 0)], "ada@example.org")
    assert "\n" not in written.subject
    assert written.message()["bcc"] is None
    assert "Bcc: everyone@example.org)" in written.subject


def test_the_same_alerts_make_a_letter_with_the_same_id(rich: Team) -> None:
    first, second = (
        alert(rich, None, None, 1),
        alert(rich, limits.set_budget(rich.pk, scope="team", period="day", limit_nano=1), 50, 1),
    )
    ids = [message_id(rich, alerts) for alerts in ([first, second], [second, first])]
    assert ids[0] == ids[1]
    assert ids[0].endswith("@example.org>")
    assert message_id(rich, [first]) != ids[0]
    assert message_id(rich, [first, second], "another@example.org") != ids[0]


def message_id(team: Team, reached: list[Alert], recipient: str = "ada@example.org") -> str:
    return str(alert_email(team, reached, recipient).extra_headers["Message-ID"])


def test_an_address_that_was_named_can_take_itself_off_the_list(rich: Team) -> None:
    reached = [alert(rich, None, None, 1)]
    named, managing = (
        alert_email(rich, reached, "ada@example.org", is_named=is_named).body for is_named in (True, False)
    )
    assert "https://parley.example.org/alert-address?token=" in named
    assert "/console/teams/acme/billing/alerts" not in named
    assert "token" not in managing
