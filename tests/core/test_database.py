"""A database that is not there, or not yet: waited for, and spoken of in one line."""

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from environs import EnvError

from core.environment import check_database
from tests.config.conftest import ROOT
from tests.patience import PATIENCE_SECONDS
from tests.postgresql import PostgreSQL, free_port
from tests.site import Serve

PASSWORD = "correct-horse"


def begin(folder: Path, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    """Start a command with a DATA_DIR of its own."""
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=os.environ | {"DATA_DIR": str(folder), "EMBEDDED_ENGINE": "false", "PORT": "0"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_server_that_starts_later_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    url = f"postgres://parley:{PASSWORD}@127.0.0.1:{port}/postgres"
    command = begin(tmp_path, "migrate", "--verbosity", "0", DATABASE_URL=url, DATABASE_WAIT_SECONDS="600")
    assert command.stderr
    said = command.stderr.readline()
    assert said.startswith(f"Waiting up to 600 s for the database postgres at 127.0.0.1:{port}: ")
    assert "Connection refused" in said
    server = PostgreSQL(port)
    try:
        assert command.communicate(timeout=4 * PATIENCE_SECONDS) == ("", "")
        assert command.returncode == 0
    finally:
        server.stop()


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.at_length)])
def test_one_that_says_nothing_any_more_does_not_keep_the_site_from_ending(tmp_path: Path, workers: str) -> None:
    server = PostgreSQL()
    settings = {"DATABASE_URL": server.url, "EMBEDDED_ENGINE": "false", "SHUTDOWN_SECONDS": "0"}
    try:
        Serve(tmp_path, **settings).manage("migrate", "--verbosity", "0")
        site = Serve(tmp_path, WORKERS=workers, **settings).start()
        address = ("127.0.0.1", int(site.url.rpartition(":")[2]))
        with server.silence(), closing(socket.create_connection(address)) as client:
            client.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert httpx2.get(f"{site.url}/healthz").status_code == 200
            site.process.terminate()
            assert site.wait(PATIENCE_SECONDS) == 0
    finally:
        server.stop()


@pytest.mark.parametrize("name", ["migrate", "bootstrap", "serve"])
def test_a_server_that_does_not_come_ends_the_command_in_one_line(tmp_path: Path, name: str) -> None:
    url = f"postgres://parley:{PASSWORD}@127.0.0.1:1/parley"
    command = begin(tmp_path, name, DATABASE_URL=url, DATABASE_WAIT_SECONDS="0")
    _, said = command.communicate(timeout=2 * PATIENCE_SECONDS)
    assert command.returncode == 1
    assert said.startswith("CommandError: The database parley at 127.0.0.1:1 cannot be reached: ")
    assert said.count("\n") == 1
    assert PASSWORD not in said


def test_a_file_that_cannot_be_opened_is_not_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "parley.sqlite3"
    for name, start in (("serve", f"CommandError: The database {file}"), ("clearsessions", "Error: the database")):
        command = begin(tmp_path, name, DATABASE_URL=f"sqlite:///{file}")
        _, said = command.communicate(timeout=2 * PATIENCE_SECONDS)
        assert command.returncode == 1
        assert said.startswith(start)
        assert said.endswith("unable to open database file\n")
        assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("engine", "name"),
    [("mysql", "parley"), ("oracle", "parley"), ("sqlite3", ":memory:"), ("sqlite3", "file::memory:?cache=shared")],
)
def test_another_kind_of_database_is_refused(engine: str, name: str) -> None:
    with pytest.raises(EnvError, match='"DATABASE_URL" is postgres://'):
        check_database({"ENGINE": f"django.db.backends.{engine}", "NAME": name, "PASSWORD": PASSWORD})
