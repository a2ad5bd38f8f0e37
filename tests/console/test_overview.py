"""Balance and usage: who sees what was spent on what."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.models import Project, User
from console import chart, usage
from console.usage import Amount
from credits import ledger
from credits.balances import balance_of
from credits.models import Account, Hold
from inference.models import Run
from tests.console.conftest import Browser
from tests.console.scenes import Page, run

pytestmark = pytest.mark.django_db

URL = "/console/teams/acme/"


def test_a_member_sees_his_own_runs_and_a_manager_everybodys(
    browser: Browser, admin: User, member: User, viewer: User, project: Project
) -> None:
    owner = project.team.members.get(memberships__role="owner")
    mine, theirs = run(project, member), run(project, owner)
    for user, sees_theirs in ((owner, True), (admin, True), (member, False)):
        page = browser(user).get(URL).content.decode()
        assert f"req_{mine.pk}" in page
        assert (f"req_{theirs.pk}" in page) is sees_theirs
    seen = browser(viewer).get(URL).content.decode()
    assert mine.pk not in seen
    assert theirs.pk not in seen


def test_nobody_sees_another_teams_runs(browser: Browser, owner: User, stranger: User) -> None:
    foreign = run(Project.objects.get(team__slug="elsewhere"), stranger)
    page = browser(owner).get("/console/teams/acme/?project=inference")
    assert page.status_code in (200, 404)
    assert foreign.pk not in page.content.decode()


def test_sums_are_by_model_and_by_day(member: User, project: Project) -> None:
    now = datetime.now(UTC)
    run(project, member, cost_nano=5, at=now)
    run(project, member, cost_nano=7, at=now, model_id="fable/owl-2b")
    run(project, member, cost_nano=11, at=now - timedelta(days=3))
    run(project, member, cost_nano=13, at=now - timedelta(days=40))
    spent = usage.usage(Run.objects.all(), 7)
    assert spent.total == Amount(3, 30, 15, 23)
    assert [(model, amount.cost_nano) for model, amount in spent.by_model] == [
        ("fable/fox-1b", 16),
        ("fable/owl-2b", 7),
    ]
    assert [amount.cost_nano for _, amount in spent.by_day] == [0, 0, 0, 11, 0, 0, 12]
    heights = [bar.height for bar in chart.bars(spent)]
    assert max(heights) == chart.HEIGHT
    assert heights.count(0) == 5


def test_a_period_without_a_run_draws_too() -> None:
    assert {bar.height for bar in chart.bars(usage.usage(Run.objects.all(), 30))} == {0}


def test_runs_go_on_a_page_further_without_a_gap(browser: Browser, member: User, project: Project) -> None:
    start = timezone.now() - timedelta(hours=1)
    made = [run(project, member, at=start + timedelta(seconds=index)) for index in range(usage.RUNS_PER_PAGE + 3)]
    first, older = usage.latest(Run.objects.all(), None)
    second, oldest = usage.latest(Run.objects.all(), older)
    assert [each.pk for each in first + second] == [each.pk for each in reversed(made)]
    assert oldest is None
    assert older is not None
    page = browser(member).get(URL, {"before": older.isoformat()})
    assert f"req_{made[0].pk}" in page.content.decode()


@pytest.mark.parametrize(
    "query", ["before=x", "before=2026-13-45", "days=-1", "days=1e9", "project=%00", "before=2026-01-01"]
)
def test_a_nonsensical_question_gets_the_usual_page(
    browser: Browser, member: User, project: Project, query: str
) -> None:
    assert browser(member).get(f"{URL}?{query}").status_code == 200


def test_an_overdue_hold_is_not_held_any_more(project: Project) -> None:
    ledger.grant(project.team_id, 10_000_000_000, reason="start", actor="tests")
    now = timezone.now()
    for seconds, amount_nano in ((60, 1_000_000_000), (-60, 4_000_000_000)):
        Hold.objects.create(
            account_id=project.team_id,
            amount_nano=amount_nano,
            run=f"run{seconds}",
            project=str(project.pk),
            created_at=now,
            expires_at=now + timedelta(seconds=seconds),
        )
    Account.objects.update(held_nano=5_000_000_000)
    balance = balance_of(project.team_id)
    assert (balance.balance_nano, balance.held_nano, balance.hold_count) == (10_000_000_000, 1_000_000_000, 1)
    assert balance.available_nano == 9_000_000_000


def test_a_team_that_was_never_granted_anything_has_nothing(browser: Browser, owner: User, project: Project) -> None:
    assert balance_of(project.team_id).available_nano == 0
    assert "out of credits" in browser(owner).get(URL).content.decode()


def test_the_console_goes_to_ones_own_team_first(
    browser: Browser, operator: User, stranger: User, team: object
) -> None:
    assert browser(stranger).get("/console/").headers["Location"] == "/console/teams/elsewhere/"
    assert browser(stranger).get("/console/keys").headers["Location"] == "/console/teams/elsewhere/keys"
    assert browser(operator).get("/console/").headers["Location"] == "/console/teams/acme/"


def test_no_page_has_anything_inline_or_from_elsewhere(
    browser: Browser, owner: User, member: User, project: Project
) -> None:
    run(project, member)
    User.objects.filter(pk=member.pk).update(name="<b onclick=x>")
    client = browser(owner)
    place = member.memberships.get()
    pages = [
        URL,
        f"{URL}keys",
        f"{URL}people",
        f"{URL}people/{place.pk}/remove",
        "/console/password",
        "/console/teams/x/",
    ]
    for address in [*pages, "/login"]:
        page = Page((browser(None) if address == "/login" else client).get(address))
        assert (address, page.inline, page.foreign) == (address, [], [])
