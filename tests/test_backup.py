"""What docs/operating.md says about backups: the copy has everything, its ledger adds up, and it cannot be changed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.postgresql import PostgreSQL, binary

ROOT = Path(__file__).resolve().parent.parent
TAMPER = "from credits.models import Entry; Entry.objects.update(amount_nano=1)"


def manage(url: str, folder: Path, *arguments: str, succeeds: bool = True) -> str:
    """Run a command on a database and return all that it said."""
    environment = os.environ | {"DATABASE_URL": url, "DATA_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) is succeeds, done.stdout
    return done.stdout


@contextmanager
def cluster() -> Iterator[str]:
    """Run a PostgreSQL; yields its address."""
    server = PostgreSQL()
    try:
        yield server.url
    finally:
        server.stop()


def check(url: str, folder: Path) -> None:
    """Fail unless the database is whole, in order, and guarded."""
    assert "10" in manage(url, folder, "verify_ledger", "demo")
    manage(url, folder, "migrate", "--check")
    assert "append" in manage(url, folder, "shell", "-c", TAMPER, succeeds=False).lower()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A DATA_DIR."""
    return tmp_path / "data"


def test_a_dump_of_postgresql_is_restored_whole(folder: Path, tmp_path: Path) -> None:
    dump = tmp_path / "parley.dump"
    with cluster() as before, cluster() as after:
        manage(before, folder, "migrate", "--verbosity", "0")
        manage(before, folder, "bootstrap")
        with dump.open("wb") as written:
            subprocess.run([binary("pg_dump"), "--format", "custom", before], stdout=written, check=True)
        subprocess.run(
            [binary("pg_restore"), "--clean", "--if-exists", "--no-owner", "--dbname", after, dump], check=True
        )
        check(after, folder)


def test_a_copy_of_sqlite_made_while_it_is_used_is_whole(folder: Path, tmp_path: Path) -> None:
    before, copy = f"sqlite:///{folder / 'parley.sqlite3'}", tmp_path / "copy.sqlite3"
    manage(before, folder, "migrate", "--verbosity", "0")
    manage(before, folder, "bootstrap")
    manage(
        before,
        folder,
        "shell",
        "-c",
        f"from django.db import connection; connection.cursor().execute(\"VACUUM INTO '{copy}'\")",
    )
    check(f"sqlite:///{copy}", folder)
