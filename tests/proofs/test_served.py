from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]


def test_the_repository_adds_its_proofs_to_the_ledgers(tmp_path: Path) -> None:
    report, output = tmp_path / "report.md", StringIO()
    only = ("--only", "balance", "web-balance")
    call_command("prove", *only, "--also", "tests.proofs.served", "--report", str(report), stdout=output)
    assert output.getvalue().count("proved    ") == 2
    text = report.read_text()
    assert "| ✓ | The same ten answers over HTTP |" in text
    assert "make prove" not in text


def test_the_report_of_an_installation_says_where_the_other_proofs_are(tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    call_command("prove", "--only", "balance", "--report", str(report), stdout=StringIO())
    assert "`make prove`" in report.read_text()


def test_a_proof_that_there_is_not_is_named() -> None:
    with pytest.raises(CommandError, match="There is no proof 'web-balance'"):
        call_command("prove", "--only", "web-balance")
