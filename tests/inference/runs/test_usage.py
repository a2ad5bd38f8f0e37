"""Sums over runs: exact, in UTC days, in any grouping, and in order."""

from dataclasses import astuple
from datetime import UTC, date, datetime, time, timedelta
from itertools import combinations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Project, User
from inference.errors import InvalidRequest
from inference.models import Run
from inference.runs.usage import MAX_SPAN_DAYS, Amount, Dimension, Row, Span, rows, usage
from tests.inference.started_runs import run

pytestmark = [pytest.mark.django_db, pytest.mark.either_database]

DAY, MODEL, PROJECT, KEY = Dimension
TODAY = date(2026, 3, 10)
SPAN = Span(date(2026, 3, 8), TODAY)


def at(day: date, clock: str = "12:00:00") -> datetime:
    return datetime.combine(day, time.fromisoformat(clock), UTC)


@pytest.fixture
def research(project: Project) -> Project:
    """A second project of the team."""
    return project.team.projects.create(slug="research")


@pytest.fixture
def some_runs(project: Project, research: Project, member: User) -> None:
    """Six runs in the span, of two models, two projects and two keys, and two outside it."""
    earlier = TODAY - timedelta(days=2)
    run(project, member, at=at(TODAY), cost_nano=1, key="k1", cached_tokens=4)
    run(project, member, at=at(TODAY, "00:00:00"), cost_nano=2, key="k2", ending=Run.Ending.ENGINE_ERROR)
    run(project, member, at=at(TODAY, "23:59:59.999999"), cost_nano=4, ending=Run.Ending.TIMEOUT)
    run(research, member, at=at(earlier), cost_nano=8, key="k1", model_id="fable/owl-2b")
    run(research, member, at=at(earlier, "00:00:00"), cost_nano=16, key="k1", ending=Run.Ending.DISCONNECTED)
    run(project, member, at=at(earlier), cost_nano=32, key="k1")
    run(project, member, at=at(earlier - timedelta(days=1), "23:59:59.999999"), cost_nano=64)
    run(project, member, at=at(TODAY + timedelta(days=1), "00:00:00"), cost_nano=128)


@pytest.mark.usefixtures("some_runs")
def test_every_grouping_adds_up_to_the_same() -> None:
    total = Amount(requests=6, prompt_tokens=60, completion_tokens=30, cost_nano=63, cached_tokens=4, errors=2)
    for count in range(5):
        for by in combinations(Dimension, count):
            found = usage(Run.objects.all(), SPAN, by)
            assert found.total == total, by
            places = [tuple(getattr(row, each) for each in by) for row in found.rows]
            assert places == sorted(set(places)), by
            assert all(getattr(row, each) is None for row in found.rows for each in set(Dimension) - set(by))
            assert all(type(number) is int for row in found.rows for number in astuple(row.amount))


@pytest.mark.usefixtures("some_runs")
def test_a_day_goes_from_midnight_to_midnight_in_utc() -> None:
    found = usage(Run.objects.all(), SPAN, [DAY])
    assert [(day.isoformat(), amount.cost_nano) for day, amount in found.by_day] == [
        ("2026-03-08", 56),
        ("2026-03-09", 0),
        ("2026-03-10", 7),
    ]
    assert [row.day for row in found.rows] == [SPAN.first_day, SPAN.last_day]


@pytest.mark.usefixtures("some_runs")
def test_parts_come_the_dearest_first(project: Project, research: Project) -> None:
    found = usage(Run.objects.all(), SPAN, [DAY, MODEL, PROJECT, KEY])
    assert [(name, part.cost_nano) for name, part in found.by_model] == [("fable/fox-1b", 55), ("fable/owl-2b", 8)]
    assert [(name, part.cost_nano) for name, part in found.by_project] == [(project.pk, 39), (research.pk, 24)]
    assert [(name, part.cost_nano) for name, part in found.by_key] == [("k1", 57), ("", 4), ("k2", 2)]


@pytest.mark.usefixtures("some_runs")
@pytest.mark.parametrize("by", [(DAY,), (MODEL, KEY), (DAY, PROJECT), (DAY, MODEL, PROJECT, KEY)])
def test_pages_follow_each_other_without_a_gap(by: tuple[Dimension, ...]) -> None:
    whole = usage(Run.objects.all(), SPAN, by).rows
    paged: list[Row] = []
    while page := rows(Run.objects.all(), SPAN, by, limit=1, after=paged[-1] if paged else None):
        paged += page
    assert paged == whole


def test_nothing_is_a_row_of_nothing_and_no_group() -> None:
    assert usage(Run.objects.all(), SPAN).rows == [Row(Amount())]
    assert usage(Run.objects.all(), SPAN, [DAY]).rows == []
    assert usage(Run.objects.all(), SPAN, [DAY]).total == Amount()
    assert rows(Run.objects.all(), SPAN, limit=1, after=Row(Amount())) == []


def test_large_sums_stay_exact(project: Project, member: User) -> None:
    for cost_nano in (10**18, 10**18 - 1, 3):
        run(project, member, at=at(TODAY), cost_nano=cost_nano, held_nano=cost_nano)
    assert usage(Run.objects.all(), SPAN).total.cost_nano == 2 * 10**18 + 2


def test_a_span_has_its_bounds() -> None:
    assert len(Span(TODAY, TODAY)) == 1
    assert len(Span.latest(7)) == 7
    assert Span.latest(1).last_day == timezone.now().astimezone(UTC).date()
    for first, last in ((date.min, date.min + timedelta(days=9)), (date.max, date.max)):
        assert usage(Run.objects.all(), Span(first, last), [DAY]).rows == []
    Span(TODAY - timedelta(days=MAX_SPAN_DAYS - 1), TODAY)
    for first, last, param in ((TODAY - timedelta(days=MAX_SPAN_DAYS), TODAY, "start"), (date.max, date.min, "end")):
        with pytest.raises(InvalidRequest) as raised:
            Span(first, last)
        assert raised.value.param == param


@pytest.mark.usefixtures("some_runs")
def test_more_rows_than_the_limit_are_refused_and_never_cut() -> None:
    assert len(usage(Run.objects.all(), SPAN, [DAY], max_rows=2).rows) == 2
    with pytest.raises(InvalidRequest) as raised:
        usage(Run.objects.all(), SPAN, [MODEL, KEY], max_rows=3)
    assert raised.value.param == "group_by"


@pytest.mark.usefixtures("some_runs")
def test_it_is_one_query_that_uses_the_index_of_projects_and_starts(project: Project) -> None:
    mine = Run.objects.filter(project__in=[project.pk])
    with CaptureQueriesContext(connection) as asked:
        usage(mine, SPAN, [DAY, MODEL])
    assert len(asked) == 1
    if connection.vendor == "sqlite":  # PostgreSQL reads so small a table whole
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {asked[0]['sql']}")
            plan = " ".join(str(step) for step in cursor.fetchall())
        assert "runs_by_project_and_start (project_id=? AND started_at>? AND started_at<?)" in plan
