"""``manage.py serve`` as an operator meets it: real processes, the real engine."""

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.patience import PATIENCE_SECONDS, Stopwatch, until
from tests.site import ROOT, Site

CHANGE_PASSWORD = "from accounts.models import User; u = User.objects.get(); u.set_password('a new one'); u.save()"


def chat(site: Site) -> str:
    """Ask the embedded model something, and return its answer."""
    body = {"model": site.model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
    headers = {"Authorization": f"Bearer {site.key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{site.url}/v1/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: str = json.load(response)["choices"][0]["message"]["content"]
        return answer


def answers(site: Site) -> bool:
    """Whether the embedded model can be asked now."""
    try:
        return bool(chat(site))
    except urllib.error.HTTPError as error:
        if error.code != 503:
            raise
        return False


def manage(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command that is to fail before it does anything."""
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)


def refusal(site: Site, *arguments: str) -> str:
    """Start a site that must not start, and return what it says."""
    site.launch(*arguments)
    assert site.wait(PATIENCE_SECONDS) == 1
    assert "Traceback" not in site.output
    return site.output


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_the_printed_curl_streams_an_answer_and_sigterm_leaves_nothing(tmp_path: Path, server: str) -> None:
    # With the whole context, a model that does not find its end takes minutes.
    with Site(tmp_path, server, EMBEDDED_CONTEXT_TOKENS="512") as site:
        assert site.admin["email"] in site.output
        assert site.admin["password"] in site.output
        streamed = subprocess.run(["bash", "-c", site.curl], capture_output=True, text=True, timeout=60, check=True)
        events = [line for line in streamed.stdout.split("\n\n") if line]
        assert events[-1] == "data: [DONE]"
        first = json.loads(events[0].removeprefix("data: "))
        assert first["object"] == "chat.completion.chunk"
        assert len(events) > 3
        tree = [site.process, *site.process.children(recursive=True)]
        assert len(tree) == 2
        assert site.stop() == 0
        assert not any(process.is_running() for process in tree)
        assert site.output.endswith("Parley has ended.\n")


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
@pytest.mark.parametrize("head", ["Content-Length: 400000000", "Transfer-Encoding: chunked"])
def test_the_site_itself_refuses_a_large_upload(tmp_path: Path, server: str, head: str) -> None:
    with Site(tmp_path, server, EMBEDDED_ENGINE="false") as site:
        port = int(site.url.rpartition(":")[2])
        request = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n".encode()
        chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        before = site.process.memory_info().rss
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as client:
            client.sendall(request + chunk * 3)
            assert client.recv(65_536).startswith(b"HTTP/1.1 413 ")
        assert site.process.memory_info().rss - before < 10_000_000


def test_a_killed_site_leaves_no_engine(tmp_path: Path) -> None:
    site = Site(tmp_path).start()
    engine = site.engine
    assert engine is not None
    site.kill()
    psutil.wait_procs([engine], timeout=PATIENCE_SECONDS)
    assert not engine.is_running()


def test_a_killed_engine_comes_back_and_answers(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        assert chat(site)
        engine = site.engine
        assert engine is not None
        engine.kill()
        until(lambda: site.engine not in (None, engine))
        until(lambda: answers(site))
    assert "The embedded engine ended (exit code -9)" in site.output


def test_a_second_serve_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with Site(tmp_path, EMBEDDED_ENGINE="false") as site:
        second = subprocess.run(
            [*site.process.cmdline()],
            cwd=site.process.cwd(),
            env=site.process.environ(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert second.returncode == 1
        assert second.stderr.endswith(f"CommandError: Another `serve` is running on {tmp_path}.\n")
    with site:
        assert site.url


def test_a_port_in_use_is_said_plainly(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        said = refusal(Site(tmp_path), "--port", port)
    assert f"Cannot listen on 127.0.0.1:{port}: Address already in use" in said
    assert "embedded engine" not in said


def test_a_host_that_is_no_name_is_said_plainly(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.manage("shell", "-c", CHANGE_PASSWORD)
    assert "Cannot listen on a..b: that is no name of a host." in refusal(site, "--host", "a..b")


@pytest.mark.parametrize(("option", "value"), [("--port", "99999"), ("--port", "http"), ("--workers", "0")])
def test_a_number_that_cannot_be_is_refused_in_one_line(option: str, value: str) -> None:
    said = manage("serve", option, value)
    assert said.returncode == 2
    assert f"argument {option}: '{value}' is not a whole number from" in said.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("WORKERS", "0"),
        ("ENGINE_NETWORKS", "10.0.0.0/33"),
        ("PUBLIC_URL", "foo"),
        ("DATA_DIR", "/dev/null/here"),
        ("DATABASE_URL", "mysql://ada:secret@127.0.0.1/parley"),
        ("DATABASE_URL", "parley"),
        ("DATABASE_URL", "postgres://ada:secret@127.0.0.1"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_setting_that_cannot_be_is_named_in_one_line(name: str, value: str) -> None:
    said = manage("check", **{name: value})
    assert said.returncode == 1
    assert said.stderr.startswith(f'Error: Environment variable "{name}" ')
    assert said.stderr.count("\n") == 1
    assert "secret" not in said.stderr


def test_another_host_is_refused_until_the_printed_password_is_changed(tmp_path: Path) -> None:
    site = Site(tmp_path, EMBEDDED_ENGINE="false", HOST="0.0.0.0")  # noqa: S104
    said = refusal(site)
    assert "Refusing to listen on 0.0.0.0 while the demo login" in said
    assert f"manage.py changepassword {site.admin['email']}" in said
    site.manage("shell", "-c", CHANGE_PASSWORD)
    with site:
        assert site.admin["password"] not in site.output
        assert site.key in site.output


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PUBLIC_URL", "https://parley.example.org"),
        ("PUBLIC_URL", "http://192.0.2.1:8000"),
        ("ALLOWED_HOSTS", "localhost,parley.example.org"),
        ("ALLOWED_HOSTS", "*"),
    ],
)
@pytest.mark.parametrize("has_file", [True, False])
def test_a_public_name_is_refused_until_the_printed_password_is_changed(
    tmp_path: Path, name: str, value: str, has_file: bool
) -> None:
    site = Site(tmp_path, EMBEDDED_ENGINE="false", **{name: value})
    email = site.admin["email"]
    if not has_file:
        # Another machine on the same database has none.
        (tmp_path / "bootstrap.json").unlink()
    said = refusal(site)
    assert f"({name}) while the demo login of {email} still works" in said
    assert f"manage.py changepassword {email}" in said


def test_a_site_on_its_own_machine_starts_with_the_printed_password(tmp_path: Path) -> None:
    with Site(tmp_path, EMBEDDED_ENGINE="false", PUBLIC_URL="http://localhost:8000") as site:
        assert site.admin["password"] in site.output


def test_secrets_are_printed_once_and_not_at_each_start(tmp_path: Path) -> None:
    site = Site(tmp_path, EMBEDDED_ENGINE="false")
    with site:
        assert site.admin["password"] in site.output
        assert site.key in site.output
    with site:
        assert site.admin["password"] not in site.output
        assert site.key not in site.output
        assert "bootstrap --json" in site.output
        assert site.admin["email"] in site.output


def test_nobody_else_can_read_what_the_site_writes(tmp_path: Path) -> None:
    old_mask = os.umask(0o022)
    try:
        folder = tmp_path / "data"
        folder.mkdir(mode=0o755)
        site = Site(folder, EMBEDDED_ENGINE="false")
        for path in (folder, *folder.iterdir()):
            # As an older version left them.
            path.chmod(0o755 if path.is_dir() else 0o644)
        with site:
            send = "from django.core.mail import send_mail; send_mail('s', 'b', None, ['ada@example.org'])"
            site.manage("shell", "-c", send)
            assert list((folder / "mail").iterdir())
            ours = [folder, *(path for path in folder.rglob("*") if path.name != "serve.out")]
            assert {path.name for path in ours} >= {"parley.sqlite3", "parley.sqlite3-wal", "bootstrap.json", "mail"}
            assert not [path for path in ours if path.parent == folder and path.stat().st_mode & 0o077]
            assert not [path for path in (folder / "mail").iterdir() if path.stat().st_mode & 0o077]
            assert not folder.stat().st_mode & 0o077
    finally:
        os.umask(old_mask)


def test_a_folder_of_other_things_that_others_read_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "somebody's").touch()
    folder.chmod(0o755)
    said = manage("check", DATA_DIR=str(folder))
    assert said.returncode == 1
    assert said.stderr.startswith('Error: Environment variable "DATA_DIR" ')
    assert "chmod 700" in said.stderr
    assert folder.stat().st_mode & 0o777 == 0o755
    folder.chmod(0o700)
    assert manage("check", DATA_DIR=str(folder)).returncode == 0


def test_a_database_behind_the_code_is_refused(tmp_path: Path) -> None:
    site = Site(tmp_path)
    (tmp_path / "parley.sqlite3").unlink()
    assert "run `manage.py migrate` first" in refusal(site)


def test_a_revoked_key_is_not_printed(tmp_path: Path) -> None:
    site = Site(tmp_path, EMBEDDED_ENGINE="false")
    site.manage("revoke_key", site.key.split("_")[1])
    with site:
        assert site.key not in site.output


def test_it_ends_cleanly_while_the_engine_is_still_starting(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.launch()
    until(lambda: site.engine)
    engine = site.engine
    assert engine is not None
    assert site.stop() == 0
    assert not engine.is_running()
    assert "Traceback" not in site.output


def test_a_streamed_answer_under_way_ends_with_the_site_in_bounded_time(tmp_path: Path) -> None:
    with Site(tmp_path, SHUTDOWN_SECONDS="1") as site:
        endless = site.curl.replace('"stream": true', '"stream": true, "max_tokens": 2000, "temperature": 2')
        with subprocess.Popen(["bash", "-c", endless], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
            assert client.stdout is not None
            assert client.stdout.readline()
            with Stopwatch() as watch:
                assert site.stop() == 0
            client.kill()
        assert watch.seconds < 8
