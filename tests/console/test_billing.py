"""What the billing page says a team has, holds and may still spend, and to whom."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import keys
from accounts.models import Project, Team, User
from credits import ledger
from credits.budgets import limits
from credits.budgets.use import NEAR_PERCENT, budget_uses, near_uses, use_of
from credits.models import Account, Budget, Hold
from tests.console.conftest import Browser
from tests.console.scenes import Page
from tests.console.spending import DOLLAR, grant, hold, release, spend

pytestmark = [pytest.mark.django_db, pytest.mark.either_database]

URL = "/console/teams/acme/billing"


def budget(team: Team, scope: str, reference: str = "", *, dollars: int = 10, period: str = "month") -> Budget:
    """Set a budget."""
    return limits.set_budget(team.pk, scope=scope, reference=reference, period=period, limit_nano=dollars * DOLLAR)


def test_the_page_adds_up(browser: Browser, owner: User, member: User, team: Team, project: Project) -> None:
    grant(team)
    budget(team, "team", dollars=50)
    budget(team, "project", str(project.pk), dollars=8)
    spend(project, member, 4 * DOLLAR)
    held = hold(project, 3 * DOLLAR)
    page = browser(owner).get(URL)
    text = page.content.decode()
    assert page.context["balance"].available_nano == 93 * DOLLAR
    assert page.context["month"].cost_nano == 4 * DOLLAR
    assert [(held.project, held.key, held.hold.amount_nano) for held in page.context["holds"]] == [
        ("inference", "browser", 3 * DOLLAR)
    ]
    assert [
        (named.whose, named.use.spent_nano, named.use.held_nano, named.use.left_nano, named.is_settable)
        for named in page.context["budgets"]
    ] == [
        ("Team acme", 4 * DOLLAR, 3 * DOLLAR, 43 * DOLLAR, False),
        ("Project inference", 4 * DOLLAR, 3 * DOLLAR, DOLLAR, True),
    ]
    assert "$93.00" in text
    assert "50%" in text
    assert 'data-label="Held"' in text
    release(held)
    text = browser(owner).get(URL).content.decode()
    # Nothing is held any more, and so nothing is said of it.
    assert "$96.00" in text
    assert 'data-label="Held"' not in text
    assert "<dt>Balance</dt>" not in text


def test_a_member_sees_the_budgets_that_bind_him_and_nobodys_holds(
    browser: Browser, owner: User, member: User, team: Team, project: Project
) -> None:
    grant(team)
    own, other = (keys.create(name=user.email, issuer=user, team=team)[0] for user in (member, owner))
    for scope, reference in (("team", ""), ("project", str(project.pk)), ("key", own.pk), ("key", other.pk)):
        budget(team, scope, reference)
    held = hold(project, DOLLAR, key=other.pk)
    page = browser(member).get(URL)
    names = [named.whose for named in page.context["budgets"]]
    assert names == ["Team acme", "Project inference", "Key member@example.org"]
    assert not any(named.is_settable for named in page.context["budgets"])
    text = page.content.decode()
    assert Hold.objects.get(pk=held.id).run not in text
    assert "Set a budget" not in text
    assert "Held for 1 run under way" in text


def test_a_plan_says_whether_this_months_grant_was_given(browser: Browser, owner: User, team: Team) -> None:
    plan = limits.save_plan("Research", monthly_grant_nano=5 * DOLLAR, monthly_cap_nano=2 * DOLLAR)
    limits.set_plan(team.pk, plan.pk)
    page = browser(owner).get(URL).content.decode()
    assert "is in the balance" in page
    assert "Cap of the plan" in page
    Account.objects.update(granted_month="2020-01")
    assert "comes with the month" in browser(owner).get(URL).content.decode()


def test_an_empty_team_is_told_what_to_do_next(browser: Browser, owner: User, viewer: User, team: Team) -> None:
    page = browser(owner).get(URL).content.decode()
    for words in ("out of credits", "No plan", "No budgets", "Set a budget", "Nothing is held"):
        assert words in page
    assert "Set a budget" not in browser(viewer).get(URL).content.decode()


def test_a_window_that_is_over_counts_nothing_any_more(team: Team, member: User, project: Project) -> None:
    grant(team)
    daily = budget(team, "project", str(project.pk), period="day", dollars=4)
    spend(project, member, 4 * DOLLAR)
    assert [use.percent for use in budget_uses(team.pk)] == [100]
    assert [use.budget.pk for use in near_uses(Budget.objects.all())] == [daily.pk]
    Budget.objects.update(window_start=daily.window_start - timedelta(days=1))
    (use,) = budget_uses(team.pk)
    assert (use.spent_nano, use.percent, use.left_nano) == (0, 0, 4 * DOLLAR)
    assert use.resets_at is not None
    assert use.resets_at > timezone.now()
    assert near_uses(Budget.objects.all()) == []


@pytest.mark.parametrize(
    ("limit_nano", "spent_nano", "percent", "is_near"),
    [
        (10, 8, 80, False),
        (10, 9, 90, True),
        (11, 9, 81, False),
        (11, 10, 90, True),
        (19, 17, 89, False),
        (19, 18, 94, True),
        (5, 4, 80, False),
        (0, 0, 100, True),
        (5, 6, 120, True),
        (10**18, 9 * 10**17 - 1, 89, False),
        (10**18, 9 * 10**17, 90, True),
    ],
)
def test_the_database_and_the_page_agree_on_what_is_near(
    team: Team, limit_nano: int, spent_nano: int, percent: int, is_near: bool
) -> None:
    made = limits.set_budget(team.pk, scope="team", period="total", limit_nano=limit_nano)
    Budget.objects.update(spent_nano=spent_nano)
    made.refresh_from_db()
    assert use_of(made).percent == percent
    assert use_of(made).is_near == is_near == (percent >= NEAR_PERCENT)
    assert bool(near_uses(Budget.objects.all())) == is_near


def queries(browser: Browser, user: User, url: str) -> int:
    """Count what a page asks the database, after what is asked once."""
    client = browser(user)
    assert client.get(url).status_code == 200
    with CaptureQueriesContext(
        connection,
    ) as captured:
        client.get(url)
    return len(captured)


def test_no_page_asks_more_the_more_there_is(
    browser: Browser, owner: User, member: User, team: Team, project: Project
) -> None:
    grant(team)

    def more(count: int) -> None:
        for number in range(count):
            other = team.projects.create(slug=f"p{number}-{count}")
            key, _ = keys.create(name=f"k{number}", issuer=member, team=team)
            for scope, reference in (("project", str(other.pk)), ("key", key.pk)):
                budget(team, scope, reference, dollars=1)
            spend(other, member, DOLLAR * 95 // 100, key=key.pk)
            hold(other, DOLLAR // 100, key=key.pk)

    more(2)
    pages = ["", "billing", "billing/ledger", "billing/alerts", "billing/budgets/add", "?by=key", "?by=project"]
    before = {page: queries(browser, owner, f"/console/teams/acme/{page}") for page in pages}
    more(6)
    after = {page: queries(browser, owner, f"/console/teams/acme/{page}") for page in pages}
    assert after == before
    assert max(after.values()) < 30, after


def test_no_billing_page_has_anything_inline_or_from_elsewhere(
    browser: Browser, owner: User, member: User, team: Team, project: Project
) -> None:
    grant(team)
    hostile = '"><script>alert(1)</script><img src=//x onerror=alert(1)>'
    key, _ = keys.create(name=hostile, issuer=member, team=team)
    ledger.correct(team.pk, DOLLAR, reason=hostile, actor=hostile)
    limited = budget(team, "key", key.pk, dollars=1)
    ran = spend(project, member, DOLLAR, key=key.pk)
    hold(project, DOLLAR)
    pages = ["", "?by=key", "billing", "billing/ledger", "billing/alerts", "billing/budgets/add"]
    pages += [f"billing/budgets/{limited.pk}", f"billing/budgets/{limited.pk}/remove", f"receipts/req_{ran.pk}"]
    for address in pages:
        response: Any = browser(owner).get(f"/console/teams/acme/{address}")
        page = Page(response)
        assert (address, response.status_code, page.inline, page.foreign) == (address, 200, [], [])
        assert "<script>alert" not in response.content.decode()
