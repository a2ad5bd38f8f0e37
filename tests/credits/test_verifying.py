import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import DEFAULT_DB_ALIAS

from accounts.models import Team
from credits import ledger
from credits.ledger import export, triggers
from credits.ledger.export import Tampered
from credits.models import Account, Entry
from proofs import tampering
from tests.credits.proof import proof_count
from tests.credits.scenes import DOLLAR

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def exported(team: Team, tmp_path: Path) -> Path:
    """Five entries in a file."""
    for number in range(4):
        ledger.grant(team.pk, 1, reason=f'drop "{number}" \\ 漢字', actor="a")
    output = StringIO()
    call_command("export_ledger", "analysts", stdout=output)
    path = tmp_path / "ledger.jsonl"
    path.write_text(output.getvalue(), encoding="utf-8")
    return path


def _verify(*arguments: object) -> str:
    output = StringIO()
    call_command("verify_ledger", *map(str, arguments), stdout=output)
    return output.getvalue()


def test_one_tampered_entry_among_ten_thousand_is_named() -> None:
    tampering.tampered_entries(proof_count(reduced=1, full=20))


def test_what_was_exported_verifies_and_shows_where_it_ends(team: Team, exported: Path) -> None:
    account = Account.objects.get(team=team)
    ending = f"5 entries fit, balance $10.000000004, hash {account.entry_hash}"
    assert _verify("--file", exported) == f"{exported}, analysts: {ending}\n"
    assert _verify("analysts") == _verify() == f"analysts: {ending}\n"


def test_an_export_is_verified_without_any_database(exported: Path) -> None:
    nowhere = os.environ | {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing"}
    command = [sys.executable, "manage.py", "verify_ledger", "--file", str(exported)]
    run = subprocess.run(command, env=nowhere, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    lines = exported.read_text().splitlines(keepends=True)
    exported.write_text("".join(lines[:3] + lines[4:]))
    run = subprocess.run(command, env=nowhere, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "follows entry 2" in run.stderr


def test_the_database_must_still_have_what_was_exported(team: Team, exported: Path) -> None:
    ledger.grant(team.pk, 1, reason="later", actor="a")
    assert _verify("analysts", "--file", exported).count("entries fit") == 2
    Team.objects.create(slug="others")
    others = Team.objects.get(slug="others").pk
    ledger.grant(others, 1, reason="r", actor="a")
    with pytest.raises(CommandError, match="the file is of account"):
        _verify("others", "--file", exported)


def test_an_entry_changed_behind_the_triggers_is_named_first(team: Team, exported: Path) -> None:
    triggers.drop(DEFAULT_DB_ALIAS)
    Entry.objects.filter(sequence=3).update(amount_nano=DOLLAR)
    with pytest.raises(CommandError, match=rf"^analysts: entry 3 of account {team.pk} does not match its hash$"):
        _verify("analysts")
    Entry.objects.filter(sequence=3).update(amount_nano=1)
    lost = Entry.objects.get(sequence=4)
    Entry.objects.filter(pk=lost.pk).delete()
    with pytest.raises(CommandError, match=f"entry 5 of account {team.pk} follows entry 3"):
        _verify()
    lost.save(force_insert=True)
    triggers.create(DEFAULT_DB_ALIAS)


def test_a_team_without_a_ledger_is_named(team: Team) -> None:
    for command in ("export_ledger", "verify_ledger"):
        with pytest.raises(CommandError, match="There is no team 'strangers'"):
            call_command(command, "strangers")


@pytest.mark.parametrize(
    ("number", "line", "problem"),
    [
        (1, "", "line 1 is not the beginning"),
        (1, "[]", "line 1 is not the beginning"),
        (2, "", "line 2 is not an entry"),
        (2, "nonsense", "line 2 is not an entry"),
        (2, "[" * 100_000, "line 2 is not an entry"),
        (2, "{}", "line 2 is not an entry"),
        (2, "[1]", "line 2 is not an entry"),
    ],
)
def test_a_file_that_is_no_ledger_is_refused(exported: Path, number: int, line: str, problem: str) -> None:
    lines = exported.read_text().splitlines()
    lines[number - 1] = line
    with pytest.raises(Tampered, match=problem):
        export.verify(lines)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"sequence":1,', '"sequence":1.0,'),
        ('"lost_nano":0', '"lost_nano":false'),
        ('"lost_nano":0', '"lost_nano": 0'),
        ('"lost_nano":0', '"lost_nano":0,"lost_nano":0'),
        ('"lost_nano":0', '"lost_nano":NaN'),
        ("+00:00", "Z"),
    ],
)
def test_an_entry_in_other_words_is_refused(exported: Path, before: str, after: str) -> None:
    lines = exported.read_text().splitlines()
    assert before in lines[1]
    lines[1] = lines[1].replace(before, after)
    with pytest.raises(Tampered, match=r"line 2: entry 1(\.0)? is not as it was written"):
        export.verify(lines)


def test_an_export_of_an_account_without_entries_verifies(team: Team) -> None:
    newcomer = Team.objects.create(slug="newcomer")
    ledger.touch(newcomer.pk)
    assert export.verify(export.lines(Account.objects.get(team=newcomer))).entries == 0


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        _verify("--file", tmp_path / "nothing")


def test_one_entry_is_spoken_of_as_one(team: Team) -> None:
    assert "1 entry fits, balance $10.00" in _verify("analysts")
