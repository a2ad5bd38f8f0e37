"""The command itself; the proofs that it runs are tested one by one."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from io import StringIO
from pathlib import Path

import psutil
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from accounts.models import Team
from credits.models import Account, Entry
from proofs import scratch
from tests.patience import PATIENCE_SECONDS, until

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


def _scratch_databases() -> list[str]:
    if connection.vendor == "sqlite":
        return [path.name for path in Path(settings.DATA_DIR).glob(f"{scratch.PREFIX}*")]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'parley\\_proof\\_%' "
            "UNION SELECT datname FROM pg_database WHERE datname LIKE 'parley\\_proof\\_%'"
        )
        return [row[0] for row in cursor.fetchall()]


COUNT_ACCOUNTS = """
import django; django.setup()
from django.core.management import call_command
from credits.models import Account
from proofs import scratch
call_command("migrate", verbosity=0)
print(Account.objects.count(), scratch.is_scratch())
"""


def test_a_scratch_place_is_empty_elsewhere_and_gone_afterwards(team: Team) -> None:
    with suppress(ZeroDivisionError), scratch.scratch() as place:
        run = subprocess.run(
            [sys.executable, "-c", COUNT_ACCOUNTS],
            env=os.environ | {"DATABASE_URL": place.url},
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout == "0 True\n"
        assert _scratch_databases() != []
        raise ZeroDivisionError
    assert _scratch_databases() == []
    assert Account.objects.get().entry_count == 1


def test_the_proofs_refuse_to_run_on_real_rows(team: Team) -> None:
    assert not scratch.is_scratch()
    run = subprocess.run(
        [sys.executable, "-m", "proofs.run", "reduced"],
        env=os.environ | {"DATABASE_URL": scratch.database_url()},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "scratch database only" in run.stderr
    assert Entry.objects.count() == 1


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_proof_leaves_nothing_behind(sent: signal.Signals, team: Team, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "manage.py", "prove", "--report", str(tmp_path / "report.md")],
        env=os.environ | {"DATABASE_URL": scratch.database_url()},
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    until(_scratch_databases)
    begun = psutil.Process(process.pid).children(recursive=True)
    time.sleep(1)
    process.send_signal(sent)
    process.communicate(timeout=2 * PATIENCE_SECONDS)
    assert process.returncode != 0
    until(lambda: not _scratch_databases())
    psutil.wait_procs(begun, timeout=2 * PATIENCE_SECONDS)
    assert not [child for child in begun if child.is_running()]


def test_the_report_says_what_was_proved(team: Team, tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    output = StringIO()
    call_command("prove", "--only", "balance", "tampering", "--report", str(report), stdout=output)
    assert output.getvalue().count("proved    ") == 2
    text = report.read_text()
    assert "**2 of 2 proved**, at reduced scale" in text
    assert scratch.database_version() in text
    assert "| ✓ | A balance for exactly ten answers |" in text
    assert _scratch_databases() == []
    assert Entry.objects.count() == 1
