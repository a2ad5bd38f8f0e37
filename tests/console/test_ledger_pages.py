"""The ledger in the console: filtered, page by page, and as files that say the same."""

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts import keys
from accounts.models import Project, Team, User
from console.access import Seat
from console.reports.entries import ENTRIES_PER_PAGE, read_all
from credits import ledger
from credits.models import Account, Entry
from tests.console.conftest import Browser
from tests.console.downloads import fetch
from tests.console.spending import DOLLAR, grant, spend
from web.downloads import csv_lines

pytestmark = [pytest.mark.django_db, pytest.mark.either_database]

URL = "/console/teams/acme/billing/ledger"


def sequences(page: Any) -> list[int]:
    return [named.entry.sequence for named in page.context["page"].entries]


def rows(user: User, address: str) -> list[dict[str, str]]:
    return list(csv.DictReader(fetch(user, address)[1].splitlines()))


@pytest.fixture
def busy(team: Team, project: Project, owner: User, member: User) -> Team:
    """Entries: 1 grant; 2 and 3 charges in two projects, the second with a key; 4 a correction."""
    grant(team)
    spend(project, member, 12_340)
    key, _ = keys.create(name="nightly", issuer=owner, team=team)
    spend(team.projects.create(slug="reports"), owner, DOLLAR, key=key.pk)
    ledger.correct(team.pk, -DOLLAR, reason="=SUM(A1)", actor="+operator@example.org")
    return team


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [4, 3, 2, 1]),
        ("kind=charge", [3, 2]),
        ("project=reports", [3]),
        ("key=browser", [2]),
        ("kind=grant&project=inference", []),
        ("first=2020-01-01&last=2020-01-02", []),
        ("last=2020-01-02", []),
        ("first=2020-01-02", [4, 3, 2, 1]),
        ("kind=&project=&key=&first=&last=&run=", [4, 3, 2, 1]),
    ],
)
def test_filters_narrow_the_list(browser: Browser, owner: User, busy: Team, query: str, found: list[int]) -> None:
    assert sequences(browser(owner).get(f"{URL}?{query}")) == found


def test_days_are_whole_and_utc(browser: Browser, owner: User, busy: Team) -> None:
    for name in ("first", "last"):
        today = datetime.now(UTC).date()
        assert sequences(browser(owner).get(f"{URL}?{name}={today}")) == [4, 3, 2, 1]


def test_a_key_and_a_run_are_found_by_the_ids_that_people_have(browser: Browser, owner: User, busy: Team) -> None:
    entry = Entry.objects.get(sequence=3)
    for query in (f"key={entry.key}", *(f"run={prefix}{entry.run}" for prefix in ("", "req_", "chatcmpl-", "%20req_"))):
        page = browser(owner).get(f"{URL}?{query}")
        assert sequences(page) == [3]
        assert f"/console/teams/acme/receipts/req_{entry.run}" in page.content.decode()
        assert "reports, nightly" in page.content.decode()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("run=everything", "A request id is req_"),
        ("first=2026-05-05&last=2026-05-01", "before the first one"),
        ("first=yesterday", "Enter a valid date"),
        ("kind=theft", "Select a valid choice"),
        ("project=elsewhere", "Select a valid choice"),
        ("key=AAAAAAAAAAAA", "Select a valid choice"),
        ("run=%00", "Null characters are not allowed"),
    ],
)
def test_what_makes_no_sense_is_said_and_kept(
    browser: Browser, owner: User, busy: Team, query: str, words: str
) -> None:
    page = browser(owner).get(f"{URL}?{query}")
    assert page.status_code == 400
    assert words in page.content.decode()
    if query == "run=everything":
        assert 'value="everything"' in page.content.decode()
    assert browser(owner).get(f"{URL}.csv?{query}").status_code == 400


@pytest.mark.parametrize("cursor", ["before=x", "before=-1", "before=99999999999999999999", "after=%00", "before="])
def test_a_nonsensical_cursor_begins_at_the_newest(browser: Browser, owner: User, busy: Team, cursor: str) -> None:
    assert sequences(browser(owner).get(f"{URL}?{cursor}")) == [4, 3, 2, 1]


def test_pages_follow_each_other_without_a_gap_while_entries_come(browser: Browser, owner: User, team: Team) -> None:
    size = ENTRIES_PER_PAGE
    for _ in range(2 * size + 2):
        grant(team, 1)
    client = browser(owner)
    first = client.get(URL)
    assert (sequences(first), first.context["page"].newer) == (list(range(2 * size + 2, size + 2, -1)), None)
    grant(team, 1)
    second = client.get(f"{URL}?before={first.context['page'].older}")
    assert sequences(second) == list(range(size + 2, 2, -1))
    third = client.get(f"{URL}?before={second.context['page'].older}")
    assert (sequences(third), third.context["page"].older) == ([2, 1], None)
    back = client.get(f"{URL}?after={third.context['page'].newer}")
    assert sequences(back) == sequences(second)
    newest = client.get(f"{URL}?after={size + 3}")
    assert (sequences(newest), newest.context["page"].newer) == (list(range(2 * size + 3, size + 3, -1)), None)
    assert "Nothing before that" in client.get(f"{URL}?before=1").content.decode()


def test_links_to_other_pages_keep_the_filters(browser: Browser, owner: User, team: Team) -> None:
    for _ in range(ENTRIES_PER_PAGE + 1):
        grant(team, 1)
    page = browser(owner).get(f"{URL}?kind=grant&evil=%22%3E&run=").content.decode()
    assert 'href="?kind=grant&amp;before=2"' in page
    assert "evil" not in page
    assert f'{URL}.csv?kind=grant"' in page


def test_the_table_has_exact_amounts_names_and_no_formula(owner: User, busy: Team) -> None:
    response, text = fetch(owner, f"{URL}.csv")
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Content-Disposition"].startswith('attachment; filename="acme-ledger-')
    found = list(csv.DictReader(text.splitlines()))
    assert [row["sequence"] for row in found] == ["1", "2", "3", "4"]
    assert [row["amount_dollars"] for row in found] == ["100.000000000", "-0.000012340", "-1.000000000", "-1.000000000"]
    assert found[-1]["balance_after_dollars"] == "97.999987660"
    assert (found[2]["project"], found[2]["key_name"], found[1]["key_name"]) == ("reports", "nightly", "browser")
    assert (found[3]["reason"], found[3]["actor"]) == ("'=SUM(A1)", "'+operator@example.org")
    assert [row["sequence"] for row in rows(owner, f"{URL}.csv?kind=charge&project=reports")] == ["3"]


def test_long_tables_come_whole(owner: User, team: Team) -> None:
    for _ in range(11):
        grant(team, 1)
    every = read_all(Seat(owner, team, "owner"), Entry.objects.all(), at_once=4)
    assert [named.entry.sequence for named in every] == list(range(1, 12))


def test_a_cell_that_would_be_computed_is_text() -> None:
    cells = ["=1", "+1", "-1", "@x", "\tx", "-1.5", "a,b", 'q"q', "-x", "x;=1", 5]
    # Quoted all: where a semicolon parts the cells, what follows it is still text.
    assert "".join(csv_lines(["heading"], [cells])) == (
        '"heading"\r\n"\'=1","\'+1","-1","\'@x","\'\tx","-1.5","a,b","q""q","\'-x","x;=1",5\r\n'
    )
    assert "".join(csv_lines(["heading"], [])) == '"heading"\r\n'


def test_the_verifiable_file_verifies_and_a_changed_one_does_not(owner: User, busy: Team, tmp_path: Path) -> None:
    response, text = fetch(owner, f"{URL}.jsonl")
    assert response.headers["Content-Disposition"].endswith('.jsonl"')
    file = tmp_path / "acme.jsonl"
    file.write_text(text)
    call_command("verify_ledger", file=file)
    call_command("verify_ledger", "acme", file=file)
    assert json.loads(text.splitlines()[0])["hash"] == Account.objects.get().entry_hash
    file.write_text(text.replace('"amount_nano":-12340', '"amount_nano":-12341'))
    with pytest.raises(CommandError, match="entry 2"):
        call_command("verify_ledger", file=file)


def test_a_team_without_an_account_has_an_empty_ledger(
    browser: Browser, owner: User, team: Team, tmp_path: Path
) -> None:
    assert "No entries yet" in browser(owner).get(URL).content.decode()
    assert rows(owner, f"{URL}.csv") == []
    _, text = fetch(owner, f"{URL}.jsonl")
    file = tmp_path / "acme.jsonl"
    file.write_text(text)
    call_command("verify_ledger", file=file)


def test_an_entry_of_another_team_is_nowhere(browser: Browser, owner: User, stranger: User, busy: Team) -> None:
    grant(Team.objects.get(slug="elsewhere"), 7)
    assert len(rows(owner, f"{URL}.csv")) == 4
    assert "$7.00" not in browser(owner).get(URL).content.decode()


def test_the_page_says_how_to_check_the_ledger(browser: Browser, owner: User, busy: Team) -> None:
    page = browser(owner).get(URL).content.decode()
    assert "manage.py verify_ledger --file acme-ledger-" in page
    assert Account.objects.get().entry_hash in page
