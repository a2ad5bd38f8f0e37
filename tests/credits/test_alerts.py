from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from accounts.models import Membership, Team, User
from credits import alerts, ledger
from credits.alerts import CLAIM_SECONDS, GIVE_UP_AFTER
from credits.budgets import limits
from credits.errors import InvalidAmount, InvalidBudget, InvalidRecipients, UnknownAccount, UnknownBudget
from credits.models import Alert, Budget
from tests.credits.scenes import DOLLAR, spend

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


def test_crossing_a_threshold_is_recorded_once_in_a_window(team: Team) -> None:
    limits.set_budget(team.pk, scope="team", period="day", limit_nano=4 * DOLLAR)
    for _ in range(3):
        spend(team.pk, DOLLAR)
    assert [alert.percent for alert in list(alerts.pending())] == [50]
    spend(team.pk, DOLLAR)
    waiting = list(alerts.pending())
    assert [alert.percent for alert in waiting] == [50, 80, 90, 100]
    assert (waiting[-1].limit_nano, waiting[-1].reached_nano) == (4 * DOLLAR, 4 * DOLLAR)
    limits.set_budget(team.pk, scope="team", period="day", limit_nano=7 * DOLLAR)
    spend(team.pk, 3 * DOLLAR)
    assert Alert.objects.count() == 4


def test_a_limit_set_below_what_was_spent_is_an_alert_too(team: Team) -> None:
    spend(team.pk, DOLLAR)
    limits.set_budget(team.pk, scope="team", period="total", limit_nano=DOLLAR, alert_percents=[100])
    assert [alert.percent for alert in list(alerts.pending())] == [100]


def test_a_low_balance_is_recorded_once_a_day(team: Team) -> None:
    limits.set_low_balance(team.pk, 8 * DOLLAR)
    spend(team.pk, 2 * DOLLAR)
    assert not alerts.pending()
    spend(team.pk, DOLLAR)
    (alert,) = list(alerts.pending())
    assert (alert.budget, alert.percent, alert.limit_nano, alert.reached_nano) == (None, None, 8 * DOLLAR, 7 * DOLLAR)
    ledger.grant(team.pk, 5 * DOLLAR, reason="more", actor="a")
    spend(team.pk, 6 * DOLLAR)
    assert Alert.objects.count() == 1
    with pytest.raises(InvalidAmount):
        limits.set_low_balance(team.pk, -1)


def test_thresholds_stay_when_a_limit_changes_and_can_be_changed_alone(team: Team) -> None:
    budget = limits.set_budget(team.pk, scope="team", period="day", limit_nano=4 * DOLLAR, alert_percents=[75])
    spend(team.pk, 2 * DOLLAR)
    assert limits.set_budget(team.pk, scope="team", period="day", limit_nano=5 * DOLLAR).alert_percents == "75"
    assert not alerts.pending()
    assert limits.set_alert_percents(team.pk, budget.pk, [90, 40, 40]).alert_percents == "40,90"
    assert [alert.percent for alert in alerts.pending()] == [40]
    assert limits.set_alert_percents(team.pk, budget.pk, []).alert_percents == ""
    impossible_ones: list[list[Any]] = [[0], [101], [True], [0.5]]
    for impossible in impossible_ones:
        with pytest.raises(InvalidBudget):
            limits.set_alert_percents(team.pk, budget.pk, impossible)
    with pytest.raises(UnknownBudget):
        limits.set_alert_percents(Team.objects.create(slug="others").pk, budget.pk, [50])


def test_a_threshold_that_is_set_the_next_day_says_nothing_of_the_day_before(team: Team) -> None:
    budget = limits.set_budget(team.pk, scope="team", period="day", limit_nano=4 * DOLLAR, alert_percents=[])
    yesterday = budget.window_start - timedelta(days=1)
    Budget.objects.update(window_start=yesterday, spent_nano=3 * DOLLAR)
    assert limits.set_alert_percents(team.pk, budget.pk, [50]).spent_nano == 0
    assert not alerts.pending()


def test_the_cap_of_a_plan_keeps_its_thresholds(team: Team) -> None:
    plan = limits.save_plan("free", monthly_grant_nano=0, monthly_cap_nano=DOLLAR)
    limits.set_plan(team.pk, plan.pk)
    cap = Budget.objects.get(origin="plan")
    limits.set_alert_percents(team.pk, cap.pk, [33])
    limits.save_plan("free", monthly_grant_nano=0, monthly_cap_nano=2 * DOLLAR, plan_id=plan.pk)
    cap.refresh_from_db()
    assert (cap.limit_nano, cap.alert_percents) == (2 * DOLLAR, "33")


@pytest.fixture
def low(team: Team) -> Alert:
    """An alert that is to be sent."""
    limits.set_low_balance(team.pk, 10 * DOLLAR)
    spend(team.pk, 1)
    return Alert.objects.get()


def test_an_alert_that_was_claimed_is_left_alone_until_the_claim_lapses(low: Alert) -> None:
    (claimed,) = alerts.claim()
    assert (claimed, claimed.attempts) == (low, 1)
    assert claimed.due_at
    assert claimed.due_at > timezone.now() + timedelta(seconds=CLAIM_SECONDS - 60)
    assert alerts.claim() == []
    Alert.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    (again,) = alerts.claim()
    assert again.attempts == 2


def test_of_many_senders_at_once_one_has_the_alert(low: Alert) -> None:
    def claim(_: int) -> int:
        try:
            return len(alerts.claim())
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(claim, range(8))) == [0] * 7 + [1]


def test_what_was_sent_is_not_claimed_again_and_what_failed_is_later_and_later(low: Alert) -> None:
    pauses = []
    for _ in range(12):
        Alert.objects.update(due_at=None)
        pauses.append(round((alerts.note_failed(alerts.claim(), "away") - timezone.now()).total_seconds()))
    assert pauses[:3] == pytest.approx([15, 30, 60], abs=5)
    assert pauses[-1] == pytest.approx(3_600, abs=5)
    low.refresh_from_db()
    assert (low.attempts, low.error, low.sent_at) == (12, "away", None)
    Alert.objects.update(due_at=None)
    claimed = alerts.claim()
    alerts.note_told(claimed, "ada@example.org")
    alerts.note_sent(claimed)
    low.refresh_from_db()
    assert (low.sent_to, low.error) == ("ada@example.org", "")
    assert low.sent_at
    assert alerts.claim() == []


def test_an_alert_that_could_not_be_sent_for_days_is_given_up(low: Alert) -> None:
    Alert.objects.update(created_at=timezone.now() - GIVE_UP_AFTER - timedelta(seconds=1))
    assert alerts.claim() == []


def test_one_claim_takes_all_alerts_of_one_team(team: Team) -> None:
    other = Team.objects.create(slug="others")
    ledger.grant(other.pk, 10 * DOLLAR, reason="start", actor="a")
    for each in (team, other):
        limits.set_budget(each.pk, scope="team", period="day", limit_nano=2 * DOLLAR, alert_percents=[50, 100])
        spend(each.pk, 2 * DOLLAR)
    assert [[alert.percent for alert in alerts.claim()] for _ in range(3)] == [[50, 100], [50, 100], []]


Join = Callable[..., User]


@pytest.fixture
def join(team: Team) -> Join:
    """Put a new person into the team."""

    def join(name: str, role: Membership.Role, *, is_active: bool = True) -> User:
        user = User.objects.create(email=f"{name}@example.org", is_active=is_active)
        team.memberships.create(user=user, role=role)
        return user

    return join


def test_active_owners_and_admins_hear_of_alerts_unless_they_do_not_want_to(team: Team, join: Join) -> None:
    roles = Membership.Role
    owner, admin = join("owner", roles.OWNER), join("admin", roles.ADMIN)
    member = join("member", roles.MEMBER)
    join("viewer", roles.VIEWER)
    join("gone", roles.OWNER, is_active=False)
    User.objects.create(email="operator@example.org", is_superuser=True)
    assert alerts.recipients(team.pk).emails == ["admin@example.org", "owner@example.org"]
    alerts.set_opt_out(team.pk, owner.pk, is_told=False)
    alerts.set_opt_out(team.pk, owner.pk, is_told=False)
    told = alerts.recipients(team.pk)
    assert told.managers == [(admin, True), (owner, False)]
    assert told.emails == ["admin@example.org"]
    alerts.set_opt_out(team.pk, owner.pk, is_told=True)
    assert len(alerts.recipients(team.pk).emails) == 2
    with pytest.raises(InvalidRecipients):
        alerts.set_opt_out(team.pk, member.pk, is_told=False)


def agree(team: Team, email: str) -> None:
    address = alerts.address_of(alerts.token_of(team.pk, email))
    assert address
    alerts.confirm(address)


def test_a_link_is_for_one_address_of_one_team(team: Team) -> None:
    alerts.set_addresses(team.pk, ["zoe@example.org"])
    token = alerts.token_of(team.pk, "zoe@example.org")
    assert alerts.address_of(token)
    for other in ("", "x", token + "x", token[1:], alerts.token_of(team.pk, "ada@example.org"), alerts.token_of(0, "")):
        assert alerts.address_of(other) is None
    alerts.set_addresses(team.pk, [])
    assert alerts.address_of(token) is None


def test_a_team_asks_few_new_addresses_in_an_hour(team: Team) -> None:
    cache.clear()
    for number in range(30):
        alerts.set_addresses(team.pk, [f"person{number}@example.org"])
    with pytest.raises(InvalidRecipients):
        alerts.set_addresses(team.pk, ["another@example.org"])
    cache.clear()


def test_named_addresses_are_told_once(team: Team, join: Join) -> None:
    join("owner", Membership.Role.OWNER)
    assert alerts.set_addresses(team.pk, [" Zoe@example.org", "zoe@example.org", "owner@example.org"]) == [
        "owner@example.org",
        "zoe@example.org",
    ]
    # Nobody is told who did not agree.
    assert alerts.recipients(team.pk).emails == ["owner@example.org"]
    agree(team, "zoe@example.org")
    assert alerts.recipients(team.pk).emails == ["owner@example.org", "zoe@example.org"]
    assert alerts.set_addresses(team.pk, ["zoe@example.org"]) == []
    assert alerts.recipients(team.pk).emails == ["owner@example.org", "zoe@example.org"]
    assert alerts.set_addresses(team.pk, []) == []
    assert alerts.recipients(team.pk).emails == ["owner@example.org"]
    with pytest.raises(UnknownAccount):
        alerts.set_addresses(999_999, [])


@pytest.mark.parametrize(
    "addresses",
    [
        ["nobody"],
        ["a@example.org\nBcc: b@example.org"],
        ["a@example.org, b@example.org"],
        ["a" * 300 + "@example.org"],
        [""],
        [f"{number}@example.org" for number in range(11)],
    ],
)
def test_what_is_no_address_is_refused(team: Team, addresses: list[str]) -> None:
    with pytest.raises(InvalidRecipients):
        alerts.set_addresses(team.pk, addresses)
    assert alerts.recipients(team.pk).addresses == []
