"""Where proofs run: a database address for other processes, and a scratch database that is gone afterwards.

On SQLite that is a file beside the database; on PostgreSQL a schema in the operator's own database, or a database of
its own where the role may make that but no schema. The real rows are never in reach: the proofs run in a process whose
only database is the scratch database, and which refuses any other.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode
from uuid import uuid4

from django.conf import settings
from django.db import ProgrammingError, connection

PREFIX: Final = "parley_proof_"


def database_url(*, name: str = "", search_path: str = "") -> str:
    """Return the address of the database in use, or of another one or another schema on the same server."""
    place = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{name or place['NAME']}"
    options = {key: value for key, value in place["OPTIONS"].items() if isinstance(value, str | int)}
    if search_path:
        options["options"] = f"{options.get('options', '')} -c search_path={search_path}".strip()
    user, password = quote(place["USER"], safe=""), quote(place["PASSWORD"], safe="")
    who = f"{user}:{password}" if password else user
    where = quote(place["HOST"], safe="") + (f":{place['PORT']}" if place["PORT"] else "")
    query = f"?{urlencode(options, quote_via=quote)}" if options else ""
    return f"postgres://{who}@{where}/{quote(name or place['NAME'], safe='')}{query}"


class Scratch:
    """An empty scratch database at ``url``, which goes when this process ends, killed or not."""

    def __init__(self, name: str) -> None:
        self.url = ""
        self._cleanup = subprocess.Popen(
            [sys.executable, "-m", "proofs.cleanup", name],
            stdin=subprocess.PIPE,
            text=True,
            env=child_environment(database_url()),
            cwd=Path(settings.BASE_DIR),
            # What a terminal sends to this process is not for the cleanup.
            start_new_session=True,
        )

    def ends(self, process_group: int) -> None:
        """Have processes ended before the place goes."""
        assert self._cleanup.stdin
        self._cleanup.stdin.write(f"{process_group}\n")
        self._cleanup.stdin.flush()

    def clear(self) -> None:
        """Wait until the place is gone. Raises RuntimeError if it could not be removed."""
        self._cleanup.communicate()
        if self._cleanup.returncode:
            raise RuntimeError("The scratch database could not be removed.")


@contextmanager
def scratch() -> Iterator[Scratch]:
    """Make an empty scratch database, and remove it at the end, whatever happened."""
    name = f"{PREFIX}{uuid4().hex[:12]}"
    place = Scratch(name)
    try:
        place.url = _make(name)
        yield place
    finally:
        place.clear()


def remove(name: str) -> None:
    """Remove a scratch database, if it is there."""
    assert name.startswith(PREFIX)
    if connection.vendor == "sqlite":
        for leftover in _file(name).parent.glob(f"{_file(name).name}*"):
            leftover.unlink()
        return
    with connection.cursor() as cursor:
        cursor.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def child_environment(url: str) -> dict[str, str]:
    """Return the environment of another process on the database at the address."""
    return os.environ | {
        "DATABASE_URL": url,
        "DATA_DIR": str(settings.DATA_DIR),
        "DJANGO_SETTINGS_MODULE": str(settings.SETTINGS_MODULE),
    }


def is_scratch() -> bool:
    """Whether the database in use is a scratch database."""
    if connection.vendor == "sqlite":
        return Path(connection.settings_dict["NAME"]).name.startswith(PREFIX)
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema(), current_database()")
        return any(str(name).startswith(PREFIX) for name in cursor.fetchone())


def database_version() -> str:
    """Return the database's name and version."""
    if connection.vendor == "sqlite":
        import sqlite3

        return f"SQLite {sqlite3.sqlite_version}"
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        return f"PostgreSQL {cursor.fetchone()[0]}"


def _make(name: str) -> str:
    """Make the place, and return its address; SQLite makes the file when it is first written."""
    if connection.vendor == "sqlite":
        return database_url(name=str(_file(name)))
    with connection.cursor() as cursor:
        try:
            cursor.execute(f'CREATE SCHEMA "{name}"')
        except ProgrammingError:
            cursor.execute(f'CREATE DATABASE "{name}"')
            return database_url(name=name)
    return database_url(search_path=name)


def _file(name: str) -> Path:
    beside = Path(connection.settings_dict["NAME"])
    folder = beside.parent if beside.is_absolute() else Path(settings.DATA_DIR)
    return folder / f"{name}.sqlite3"
