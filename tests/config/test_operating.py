"""What machines ask of a running site: metrics and health."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pytest_django.fixtures import Settings

from config.operating import may_read
from tests.config.conftest import ROOT
from tests.patience import PATIENCE_SECONDS, until
from tests.server import Server

HERE = ("127.0.0.1", 50_000)
TOKEN = "a-token-of-some-length"


def reads(client: tuple[str, int] | None = HERE, **headers: str) -> bool:
    given = {"host": "localhost:8000"} | headers
    return may_read({"client": client}, {name.replace("_", "-").encode(): value for name, value in given.items()})


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:1"])
def test_without_a_token_this_machine_reads(host: str) -> None:
    assert reads(host=host)
    assert reads(("::1", 1), host=host)


@pytest.mark.parametrize("client", [("10.0.0.5", 1), ("203.0.113.9", 1), ("::ffff:10.0.0.1", 1), ("", 1), None])
def test_without_a_token_other_machines_do_not(client: tuple[str, int] | None) -> None:
    assert not reads(client)
    assert not reads(client, authorization="Bearer ", x_forwarded_for="127.0.0.1")


@pytest.mark.parametrize("header", ["x_forwarded_for", "forwarded", "x_real_ip", "via", "x_forwarded_host"])
def test_a_proxy_on_this_machine_is_not_this_machine(header: str) -> None:
    assert not reads(HERE, **{header: "127.0.0.1"})


@pytest.mark.parametrize("host", ["rebound.example.org", "", "[", "127.0.0.1.example.org", "localhost@evil.example"])
def test_a_page_that_was_led_here_under_another_name_is_not_this_machine(host: str) -> None:
    assert not reads(host=host)


def test_behind_a_trusted_proxy_only_the_token_opens(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 1
    assert not reads()
    settings.METRICS_TOKEN = TOKEN
    assert reads(("10.0.0.5", 1), authorization=f"Bearer {TOKEN}", host="site:8000", x_forwarded_for="10.0.0.5")


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN, "Bearer \xff"])
def test_with_a_token_nothing_else_opens_not_even_being_here(settings: Settings, sent: str) -> None:
    settings.METRICS_TOKEN = TOKEN
    assert not reads(authorization=sent)


def test_a_short_token_stops_the_start() -> None:
    environment = os.environ | {"METRICS_TOKEN": "short"}
    command = [sys.executable, "manage.py", "check"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "16 characters or more" in done.stderr


@pytest.mark.django_db(transaction=True)
def test_the_page_is_prometheus_text_and_a_stranger_gets_403(settings: Settings) -> None:
    with Server() as server, httpx2.Client(base_url=server.url) as client:
        page = client.get("/metrics")
        assert page.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert page.headers["cache-control"] == "no-store"
        names = {family.name for family in text_string_to_metric_families(page.text)}
        assert {"parley_requests", "parley_holds", "process_cpu_seconds", "process_resident_memory_bytes"} <= names
        assert not any(name.endswith("_created") for name in names)
        settings.METRICS_TOKEN = TOKEN
        refused = client.get("/metrics")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
        assert client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text.startswith("# HELP")


def test_processes_that_share_a_folder_are_added_up(tmp_path: Path) -> None:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    preamble = "import django; django.setup()\nfrom inference import metrics\n"

    def python(code: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", preamble + code],
            cwd=ROOT,
            env=environment | {"DJANGO_SETTINGS_MODULE": "config.settings"},
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    for status in (200, 200, 503):
        python(f"metrics.responded('v1', {status}); metrics.reader_cut('v1')")
    page = python("from config import operating; print(operating.render().decode())")
    assert 'parley_http_responses_total{status="200",surface="v1"} 2.0' in page
    assert 'parley_readers_cut_total{surface="v1"} 3.0' in page


@contextmanager
def serving(**environment: str) -> Iterator[str]:
    """Serve without looking at the database first; yields the base address."""
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.site", "uvicorn"],
        cwd=ROOT,
        env=os.environ | {"EMBEDDED_ENGINE": "false", "LOG_LEVEL": "CRITICAL"} | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout
        yield f"http://127.0.0.1:{int(child.stdout.readline())}"
    finally:
        child.kill()
        child.wait()
        if child.stdout:
            child.stdout.close()


def get(address: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(address, timeout=PATIENCE_SECONDS) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_site_is_ready_once_its_tables_are_there(tmp_path: Path) -> None:
    environment = {"DATA_DIR": str(tmp_path), "DATABASE_URL": f"sqlite:///{tmp_path / 'site.sqlite3'}"}
    with serving(**environment) as url:
        assert get(f"{url}/healthz") == (200, {"status": "ok"})
        assert get(f"{url}/readyz") == (503, {"status": "unavailable", "problem": "migrations"})
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=ROOT, env=os.environ | environment, check=True)
        until(lambda: get(f"{url}/readyz") == (200, {"status": "ok"}))


def test_a_site_without_its_database_lives_and_is_not_ready(tmp_path: Path) -> None:
    with serving(DATA_DIR=str(tmp_path), DATABASE_URL="postgres://nobody@127.0.0.1:1/none") as url:
        assert get(f"{url}/readyz") == (503, {"status": "unavailable", "problem": "database"})
        assert get(f"{url}/healthz") == (200, {"status": "ok"})
