"""Where proofs run: a database address for other processes, and a scratch place that is gone afterwards.

On SQLite that is a file beside the database; on PostgreSQL a schema in the operator's own database, or a database of
its own where the role may make that but no schema. The real rows are never in reach: the proofs run in a process whose
only database is the scratch place, and which refuses any other.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode
from uuid import uuid4

from django.conf import settings
from django.db import OperationalError, ProgrammingError, connection

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


@contextmanager
def scratch() -> Iterator[str]:
    """Give the address of an empty scratch place, and remove it at the end, whatever happened."""
    name = f"{PREFIX}{uuid4().hex[:12]}"
    if connection.vendor == "sqlite":
        with _scratch_file(name) as url:
            yield url
        return
    try:
        _execute(f'CREATE SCHEMA "{name}"')
    except ProgrammingError:
        _execute(f'CREATE DATABASE "{name}"')
        url, remove = database_url(name=name), f'DROP DATABASE "{name}" WITH (FORCE)'
    else:
        url, remove = database_url(search_path=name), f'DROP SCHEMA "{name}" CASCADE'
    try:
        yield url
    finally:
        _execute(remove)


def is_scratch() -> bool:
    """Whether the database in use is a scratch place."""
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


@contextmanager
def _scratch_file(name: str) -> Iterator[str]:
    beside: Any = connection.settings_dict["NAME"]
    folder = Path(beside).parent if Path(beside).is_absolute() else Path(settings.DATA_DIR)
    path = folder / f"{name}.sqlite3"
    try:
        yield database_url(name=str(path))
    finally:
        for leftover in folder.glob(f"{path.name}*"):
            leftover.unlink()


def _execute(statement: str) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    except OperationalError:
        # The connection slept through the proofs, and something on the way may have cut it.
        connection.close()
        with connection.cursor() as cursor:
            cursor.execute(statement)
