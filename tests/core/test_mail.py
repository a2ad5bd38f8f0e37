"""Settings for e-mail: nothing is needed, and what cannot be right stops the start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from environs import EnvError

from core.environment import check_mail, default_sender

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("host", "sender"),
    [
        ("127.0.0.1", "parley@localhost.localdomain"),
        ("::1", "parley@localhost.localdomain"),
        ("localhost", "parley@localhost.localdomain"),
        ("parley.example.org", "parley@parley.example.org"),
    ],
)
def test_letters_come_from_the_sites_own_name(host: str, sender: str) -> None:
    assert default_sender(host) == sender


@pytest.mark.parametrize("host", ["", "mail.example.org", "127.0.0.1", "::1"])
def test_a_mail_server_is_a_name_or_an_address(host: str) -> None:
    check_mail(host, "", "", is_tls=False, is_ssl=False)


@pytest.mark.parametrize("host", ["smtp://mail", "mail:587", "user@mail", "mail server"])
def test_what_is_more_than_a_name_is_refused(host: str) -> None:
    with pytest.raises(EnvError, match="is the name of a server"):
        check_mail(host, "", "", is_tls=False, is_ssl=False)


@pytest.mark.parametrize(
    "environment",
    [
        {"EMAIL_PORT": "0"},
        {"EMAIL_TIMEOUT": "nan"},
        {"DEFAULT_FROM_EMAIL": "somebody"},
        {"EMAIL_HOST": "mail", "EMAIL_USE_TLS": "yes", "EMAIL_USE_SSL": "yes"},
        {"EMAIL_HOST": "mail", "EMAIL_HOST_USER": "ada"},
        {"EMAIL_USE_SSL": "yes"},
    ],
)
def test_a_setting_that_cannot_be_right_stops_the_start(environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "manage.py", "check"]
    full = os.environ | {"DATA_DIR": str(tmp_path)} | environment
    done = subprocess.run(command, cwd=ROOT, env=full, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert next(iter(environment.keys() - {"EMAIL_HOST"})) in done.stderr
