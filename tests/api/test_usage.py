"""What was spent on what, as JSON and as CSV."""

import csv
import io
from base64 import urlsafe_b64encode
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx2
import pytest
from django.utils import timezone
from openai import OpenAI

from accounts.models import Project, Team, User
from inference.models import Run
from inference.runs.usage import MAX_SPAN_DAYS
from tests.api.scenes import body, charges
from tests.fakes.tgi import FakeTgi
from tests.inference.started_runs import run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]

MARCH = "start=2026-03-01&end=2026-03-31"


def at(day: int) -> datetime:
    return datetime(2026, 3, day, 12, tzinfo=UTC)


def table(response: httpx2.Response) -> list[list[str]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.reader(io.StringIO(response.text)))


def rows(response: httpx2.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    page = response.json()
    assert page["object"] == "list"
    assert all(row.pop("object") == "usage" for row in page["data"])
    return [row for row in page["data"] if row.pop("id").startswith("usage_")]


@pytest.fixture
def some_runs(project: Project, member: User) -> None:
    """Four runs in March."""
    run(project, member, at=at(1), cost_nano=1, key="k1", cached_tokens=3)
    run(project, member, at=at(1), cost_nano=2, key="k2", model_id="fable/owl-2b")
    run(project, member, at=at(31), cost_nano=4, key="k1", ending=Run.Ending.TIMEOUT)
    run(project, member, at=at(31), cost_nano=8)


def test_what_was_called_a_moment_ago_is_in_todays_sum(
    client: OpenAI, raw: httpx2.Client, tgi: FakeTgi, funded: Team
) -> None:
    usages = [client.chat.completions.create(**body(max_tokens=tokens)).usage for tokens in (2, 3)]
    assert all(usages)
    (row,) = rows(raw.get("/v1/usage"))
    assert row == {
        "day": timezone.now().astimezone(UTC).date().isoformat(),
        "requests": 2,
        "errors": 0,
        "prompt_tokens": sum(usage.prompt_tokens for usage in usages if usage),
        "cached_tokens": 0,
        "completion_tokens": 5,
        "cost": {"nano": sum(charges(funded)), "usd": f"{sum(charges(funded)) / 10**9:.9f}".rstrip("0")},
    }


@pytest.mark.usefixtures("some_runs")
def test_sums_are_grouped_as_asked(raw: httpx2.Client) -> None:
    def grouped(by: str) -> list[list[object]]:
        names = by.split(",")
        return [
            [*(row[name] for name in names), row["cost"]["nano"]]
            for row in rows(raw.get(f"/v1/usage?{MARCH}&group_by={by}"))
        ]

    assert grouped("day") == [["2026-03-01", 3], ["2026-03-31", 12]]
    assert grouped("model") == [["fable/fox-1b", 13], ["fable/owl-2b", 2]]
    assert grouped("project") == [["acme/inference", 15]]
    assert grouped("key") == [[None, 8], ["k1", 5], ["k2", 2]]
    assert grouped("key,day") == [
        ["k1", "2026-03-01", 1],
        ["k2", "2026-03-01", 2],
        [None, "2026-03-31", 8],
        ["k1", "2026-03-31", 4],
    ]


@pytest.mark.usefixtures("some_runs")
def test_no_group_at_all_is_one_sum(raw: httpx2.Client) -> None:
    assert rows(raw.get(f"/v1/usage?{MARCH}&group_by=")) == [
        {
            "requests": 4,
            "errors": 1,
            "prompt_tokens": 40,
            "cached_tokens": 3,
            "completion_tokens": 20,
            "cost": {"nano": 15, "usd": "0.000000015"},
        }
    ]


@pytest.mark.usefixtures("some_runs")
@pytest.mark.parametrize("by", ["day", "key", "day,model,project,key", ""])
def test_pages_follow_each_other(raw: httpx2.Client, by: str) -> None:
    whole = raw.get(f"/v1/usage?{MARCH}&group_by={by}").json()
    assert whole["has_more"] is False
    assert (whole["start"], whole["end"]) == ("2026-03-01", "2026-03-31")
    listed: list[Any] = []
    while True:
        place = f"&after={listed[-1]['id']}" if listed else ""
        page = raw.get(f"/v1/usage?{MARCH}&group_by={by}&limit=1{place}").json()
        assert page["first_id"] == page["last_id"] == page["data"][0]["id"]
        listed += page["data"]
        if not page["has_more"]:
            break
    assert listed == whole["data"]


@pytest.mark.usefixtures("some_runs")
@pytest.mark.parametrize("how", ["format", "accept"])
def test_csv_says_the_same(raw: httpx2.Client, how: str) -> None:
    query = f"{MARCH}&group_by=day,model,project,key"
    if how == "format":
        response = raw.get(f"/v1/usage?{query}&format=csv")
    else:
        response = raw.get(f"/v1/usage?{query}", headers={"Accept": "text/csv"})
    heading, *lines = table(response)
    assert response.headers["content-disposition"] == 'attachment; filename="usage_2026-03-01_2026-03-31.csv"'
    groups, counts = heading[:4], heading[4:9]
    assert groups == ["day", "model", "project", "key"]
    assert counts == ["requests", "errors", "prompt_tokens", "cached_tokens", "completion_tokens"]
    assert heading[9:] == ["cost_nano", "cost_usd"]
    assert lines == [
        [*(row[name] or "" for name in groups), *(str(row[name]) for name in counts), *map(str, row["cost"].values())]
        for row in rows(raw.get(f"/v1/usage?{query}"))
    ]


def test_a_name_that_a_spreadsheet_would_compute_is_text(raw: httpx2.Client, project: Project, member: User) -> None:
    hostile = ["=1+1", "+cmd/x", "-cmd/x", "@sum/x", "\tx", 'a,"b"']
    for model_id in hostile:
        run(project, member, at=at(1), model_id=model_id)
    listed = {line[0] for line in table(raw.get(f"/v1/usage?{MARCH}&group_by=model&format=csv"))[1:]}
    assert listed == {"'=1+1", "'+cmd/x", "'-cmd/x", "'@sum/x", "'\tx", 'a,"b"'}
    # JSON computes nothing.
    assert {row["model"] for row in rows(raw.get(f"/v1/usage?{MARCH}&group_by=model"))} == set(hostile)


def test_a_long_table_comes_whole_and_in_pieces(raw: httpx2.Client, project: Project, member: User) -> None:
    first = run(project, member, at=at(1), key="000000000000")
    copies = [{**_columns(first), "id": f"{number:032}", "key": f"{number:012}"} for number in range(1, 1_200)]
    Run.objects.bulk_create(Run(**each) for each in copies)
    with raw.stream("GET", f"/v1/usage?{MARCH}&group_by=key&format=csv") as response:
        assert "content-length" not in response.headers
        lines = list(response.iter_lines())
    assert [cells[0] for cells in csv.reader(lines)] == ["key", *(f"{number:012}" for number in range(1_200))]


def _columns(row: Run) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in Run._meta.concrete_fields}


def test_thirty_days_are_shown_where_nothing_else_is_said(raw: httpx2.Client, project: Project, member: User) -> None:
    now = datetime.now(UTC)
    for days in (0, 29, 30):
        run(project, member, at=now - timedelta(days=days))
    page = raw.get("/v1/usage").json()
    assert date.fromisoformat(page["end"]) - date.fromisoformat(page["start"]) == timedelta(days=29)
    assert [row["day"] for row in page["data"]] == [page["start"], page["end"]]
    assert raw.get("/v1/usage?end=2026-01-30").json()["start"] == "2026-01-01"
    assert raw.get("/v1/usage?end=0001-01-02").json()["start"] == "0001-01-01"


def after(written: bytes) -> str:
    return f"after=usage_{urlsafe_b64encode(written).decode()}"


# What no row's id can be: a text that PostgreSQL would not take, a number that is none of a database's.
NO_MODEL = after(b'{"model":"a\\u0000"}')
NO_PROJECT = after(b'{"project":9223372036854775808}')


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("start=yesterday", "start"),
        ("start=2026-02-30", "start"),
        ("start=20260301", "start"),
        ("start=2026-W10-1", "start"),
        ("start=", "start"),
        ("end=9999-12-32", "end"),
        ("start=9999-12-31", "start"),
        ("start=2026-03-02&end=2026-03-01", "end"),
        (f"start=2025-01-01&end={date(2025, 1, 1) + timedelta(days=MAX_SPAN_DAYS)}", "start"),
        ("group_by=user", "group_by"),
        ("group_by=day,", "group_by"),
        ("group_by=day,day", "group_by"),
        ("group_by=Day", "group_by"),
        ("group_by=day&group_by=key", "group_by"),
        ("limit=1001", "limit"),
        ("limit=0", "limit"),
        ("format=xml", "format"),
        ("format=", "format"),
        ("format=csv&limit=1", "limit"),
        (f"format=csv&{after(b'{}')}", "after"),
        ("after=", "after"),
        ("after=usage_", "after"),
        ("after=usage_%C3%A9", "after"),
        ("after=" + "x" * 5_000, "after"),
        (after(b"{}"), "after"),
        (after(b'{"day":"2026-03-01"} '), "after"),
        (after(b'{"day":"2026-03-01","user":1}'), "after"),
        (after(b'{"day":"2026-03-01","key":"k"}'), "after"),
        (f"group_by=model&{NO_MODEL}", "after"),
        (f"group_by=project&{NO_PROJECT}", "after"),
        ("days=7", "days"),
        ("project=acme/inference", "project"),
    ],
)
def test_a_wrong_parameter_is_named(raw: httpx2.Client, query: str, param: str) -> None:
    for headers in ({}, {"Accept": "text/csv"}):
        if headers and ("limit" in param or "after" in param or "format" in query):
            continue
        response = raw.get(f"/v1/usage?{query}", headers=headers)
        assert response.headers["content-type"] == "application/json"
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["param"]) == (400, "invalid_parameter", param)


def test_who_accepts_nothing_that_there_is_gets_json(raw: httpx2.Client) -> None:
    response = raw.get("/v1/usage", headers={"Accept": "application/pdf"})
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
