"""Balance and usage: who sees what was spent on what."""

import csv
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts import keys
from accounts.models import Project, User
from console.reports import runs as runs_page
from console.reports.chart import HEIGHT, MAX_PARTS, OTHER, WIDTH, Chart, chart, group_of
from console.reports.tiles import line
from credits import ledger
from credits.models import Account, Hold
from credits.reports.balances import balance_of
from inference.models import Run
from inference.runs.first_tokens import percentile
from inference.runs.usage import Amount, Dimension, Span
from inference.runs.usage import usage as summed
from tests.console.conftest import Browser
from tests.console.downloads import fetch
from tests.console.scenes import Page, run

pytestmark = pytest.mark.django_db

URL = "/console/teams/acme/"
RUNS = f"{URL}runs"


def test_a_member_sees_his_own_runs_and_a_manager_everybodys(
    browser: Browser, admin: User, member: User, viewer: User, project: Project
) -> None:
    owner = project.team.members.get(memberships__role="owner")
    mine, theirs = run(project, member), run(project, owner)
    for user, sees_theirs in ((owner, True), (admin, True), (member, False)):
        page = browser(user).get(RUNS).content.decode()
        assert f"req_{mine.pk}" in page
        assert (f"req_{theirs.pk}" in page) is sees_theirs
    seen = browser(viewer).get(RUNS).content.decode()
    assert mine.pk not in seen
    assert theirs.pk not in seen


def test_nobody_sees_another_teams_runs(browser: Browser, owner: User, stranger: User) -> None:
    foreign = run(Project.objects.get(team__slug="elsewhere"), stranger)
    page = browser(owner).get(f"{RUNS}?project=inference")
    assert page.status_code in (200, 404)
    assert foreign.pk not in page.content.decode()


def test_sums_are_by_model_and_by_day(member: User, project: Project) -> None:
    now = datetime.now(UTC)
    run(project, member, cost_nano=5, at=now)
    run(project, member, cost_nano=7, at=now, model_id="fable/owl-2b")
    run(project, member, cost_nano=11, at=now - timedelta(days=3))
    run(project, member, cost_nano=13, at=now - timedelta(days=40))
    spent = summed(Run.objects.all(), Span.latest(7), (Dimension.DAY, Dimension.MODEL))
    assert spent.total == Amount(3, 30, 15, 23)
    assert [(model, amount.cost_nano) for model, amount in spent.by_model] == [
        ("fable/fox-1b", 16),
        ("fable/owl-2b", 7),
    ]
    assert [amount.cost_nano for _, amount in spent.by_day] == [0, 0, 0, 11, 0, 0, 12]


def drawn(days: int, by: Dimension = Dimension.MODEL) -> Chart:
    """Draw the runs there are; groups are called by their ids."""
    spent = summed(Run.objects.all(), Span.latest(days), (Dimension.DAY, by))
    return chart(spent, by, {group: str(group) for group, _ in group_of(spent, by)})


def test_a_period_without_a_run_draws_too() -> None:
    empty = drawn(30)
    assert (empty.parts, empty.top_nano, len(empty.days)) == ([], 0, 30)
    assert {len(day.blocks) for day in empty.days} == {0}


def test_bars_are_piled_up_to_a_round_number(member: User, project: Project) -> None:
    for model_id, cost_nano in (("fable/fox-1b", 100), ("fable/owl-2b", 60), ("fable/elk-3b", 0)):
        run(project, member, cost_nano=cost_nano, model_id=model_id)
    bars = drawn(7)
    assert [(part.name, part.colour) for part in bars.parts] == [
        ("fable/fox-1b", "chart-1"),
        ("fable/owl-2b", "chart-2"),
        ("fable/elk-3b", "chart-3"),
    ]
    assert (bars.top_nano, bars.half_nano) == (200, 100)
    today = bars.days[-1]
    assert [(block.y, block.height) for block in today.blocks] == [
        (HEIGHT / 2, HEIGHT / 2),
        (HEIGHT * 0.2, HEIGHT * 0.3),
    ]
    assert bars.days[0].x >= 0
    assert today.x + today.width <= WIDTH


def test_a_day_of_free_requests_shows(member: User, project: Project) -> None:
    run(project, member, cost_nano=0)
    assert [block.height > 0 for block in drawn(7).days[-1].blocks] == [True]


def test_more_groups_than_colours_share_one(member: User, project: Project) -> None:
    for number in range(MAX_PARTS + 3):
        run(project, member, cost_nano=100 - number, model_id=f"fable/m-{number}")
    parts = drawn(7).parts
    assert [part.name for part in parts][-2:] == [f"fable/m-{MAX_PARTS - 1}", f"{OTHER} (3)"]
    assert sum(part.amount.cost_nano for part in parts) == sum(100 - number for number in range(MAX_PARTS + 3))


@pytest.mark.parametrize(("cost_nano", "top_nano"), [(1, 1), (3, 5), (5, 5), (6, 10), (99, 100), (10**18, 10**18)])
def test_the_scale_ends_at_a_round_number(member: User, project: Project, cost_nano: int, top_nano: int) -> None:
    run(project, member, cost_nano=cost_nano)
    assert drawn(7).top_nano == top_nano


def test_usage_is_grouped_as_asked(browser: Browser, owner: User, member: User, project: Project) -> None:
    key, _ = keys.create(name="nightly", issuer=member, team=project.team)
    run(project, member, cost_nano=3, key=key.pk)
    run(project.team.projects.create(slug="reports"), member, cost_nano=5)
    client = browser(owner)
    for by, names in (
        ("model", ["fable/fox-1b"]),
        ("project", ["reports", "inference"]),
        ("key", ["browser", "nightly"]),
    ):
        assert [part.name for part in client.get(f"{URL}?by={by}").context["chart"].parts] == names
    one = client.get(f"{URL}?by=key&project=reports").context["chart"]
    assert [(part.name, part.amount.cost_nano) for part in one.parts] == [("browser", 5)]


def test_custom_days_have_a_beginning_and_an_end(browser: Browser, owner: User, member: User, project: Project) -> None:
    for days in (10, 20, 30):
        run(project, member, cost_nano=days, at=timezone.now() - timedelta(days=days))
    today = datetime.now(UTC).date()
    first, last = today - timedelta(days=20), today - timedelta(days=11)
    asked = f"{URL}?days=custom&first={first}&last={last}"
    page = browser(owner).get(asked)
    assert page.context["usage"].total.cost_nano == 20
    assert len(page.context["chart"].days) == 10
    assert f'value="{first}"' in page.content.decode()
    open_end = browser(owner).get(f"{URL}?days=custom&first={first}")
    assert open_end.context["usage"].total.cost_nano == 30


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("days=custom", "Say with which day it begins"),
        ("days=custom&first=2026-02-30", "Enter a valid date"),
        ("days=custom&first=2026-02-03&last=2026-02-01", "The days go forward"),
        ("days=custom&first=2000-01-01&last=2026-02-01", "at most 366"),
        ("days=custom&first=0001-01-01", "at most 366"),
        ("days=-1", "Select a valid choice"),
        ("by=user", "Select a valid choice"),
        ("project=elsewhere", "Select a valid choice"),
        ("project=%00", "Select a valid choice"),
    ],
)
def test_a_question_that_makes_no_sense_is_said_and_kept(
    browser: Browser, owner: User, project: Project, query: str, words: str
) -> None:
    page = browser(owner).get(f"{URL}?{query}")
    assert page.status_code == 400
    assert words in page.content.decode()
    assert browser(owner).get(f"{URL}usage.csv?{query}").status_code == 400


def test_usage_begins_with_four_tiles(browser: Browser, owner: User, member: User, project: Project) -> None:
    now = timezone.now()
    for number in range(20):
        made = run(project, member, cost_nano=100_000_001, at=now - timedelta(days=number % 2))
        Run.objects.filter(pk=made.pk).update(first_token_at=made.started_at + timedelta(milliseconds=100 * number))
    run(project, member, cost_nano=0, ending=Run.Ending.TIMEOUT)
    client = browser(owner)
    page = client.get(f"{URL}?days=7")
    found = {tile.name: (tile.value, tile.exact, bool(tile.points)) for tile in page.context["tiles"]}
    assert found == {
        "Spent": ("$2.00", "$2.00000002", True),
        "Requests": ("21", "", True),
        "Errors": ("1", "", True),
        "p95 to first token": ("1.8 s", "", True),
    }
    assert 'title="$2.00000002"' in page.content.decode()
    assert client.get(f"{RUNS}?show=errors").content.decode().count("run-start") == 1
    assert client.get(f"{RUNS}?show=x").status_code == 400


def test_a_line_needs_two_days_and_a_percentile_a_value() -> None:
    assert (line([3.0]), line([None, 2.0, None]), percentile([])) == ("", "", None)
    assert line([0, 0, 0]) == "0,22 50,22 100,22"
    assert line([0, None, 4]) == "0,22 100,2"
    assert percentile([2.0, 1.0]) == 2.0


def test_the_table_of_usage_has_what_one_may_see(owner: User, member: User, project: Project) -> None:
    key, _ = keys.create(name="=cmd", issuer=member, team=project.team)
    run(project, member, cost_nano=12_340, key=key.pk, cached_tokens=3, ending=Run.Ending.ENGINE_ERROR)
    run(project, owner, cost_nano=1)
    today = str(datetime.now(UTC).date())
    response, text = fetch(member, f"{URL}usage.csv?by=key")
    assert response.headers["Content-Disposition"].startswith('attachment; filename="acme-usage-by-key-')
    assert list(csv.DictReader(text.splitlines())) == [
        {
            "day_utc": today,
            "key": key.pk,
            "key_name": "'=cmd",
            "requests": "1",
            "errors": "1",
            "prompt_tokens": "10",
            "cached_tokens": "3",
            "completion_tokens": "5",
            "cost_dollars": "0.000012340",
        }
    ]
    rows = list(csv.DictReader(fetch(owner, f"{URL}usage.csv?by=project")[1].splitlines()))
    assert [(row["project"], row["project_name"], row["requests"]) for row in rows] == [
        (str(project.pk), "inference", "2")
    ]


def test_runs_go_on_a_page_further_without_a_gap(browser: Browser, member: User, project: Project) -> None:
    start = timezone.now() - timedelta(hours=1)
    made = [run(project, member, at=start + timedelta(seconds=index)) for index in range(runs_page.RUNS_PER_PAGE + 3)]
    first, older = runs_page.latest(Run.objects.all(), None)
    second, oldest = runs_page.latest(Run.objects.all(), older)
    assert [each.pk for each in first + second] == [each.pk for each in reversed(made)]
    assert oldest is None
    assert older is not None
    page = browser(member).get(RUNS, {"before": older.isoformat()})
    assert f"req_{made[0].pk}" in page.content.decode()


@pytest.mark.parametrize(
    "query", ["before=x", "before=2026-13-45", "before=%00", "before=2026-01-01", "project=&by=&days="]
)
def test_a_nonsensical_question_gets_the_usual_page(
    browser: Browser, member: User, project: Project, query: str
) -> None:
    assert browser(member).get(f"{RUNS}?{query}").status_code == 200


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
        RUNS,
        f"{URL}keys",
        f"{URL}people",
        f"{URL}people/{place.pk}/remove",
        "/console/password",
        "/console/teams/x/",
    ]
    for address in [*pages, "/login"]:
        page = Page((browser(None) if address == "/login" else client).get(address))
        assert (address, page.inline, page.foreign) == (address, [], [])
