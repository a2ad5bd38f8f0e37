"""REDIS_URL, as an operator writes it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from environs import EnvError

from core.environment import redis_url

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "written",
    [
        "",
        "redis://127.0.0.1",
        "redis://redis:6379/3",
        "redis://:p%40ss@redis.internal:6380",
        "redis://site:secret@[::1]:6379/0",
        "rediss://site:secret@redis.example.org:6380/1?ssl_ca_certs=/etc/redis-ca.pem",
    ],
)
def test_an_address_is_taken_as_it_is(written: str) -> None:
    assert redis_url(written) == written


@pytest.mark.parametrize(
    "written",
    [
        "redis",
        "127.0.0.1:6379",
        "http://redis:6379",
        "unix:///run/redis.sock",
        "redis://",
        "redis://:secret@",
        "redis://:secret@redis:port",
        "redis://:secret@redis:99999",
        "redis://:secret@redis/database",
        "redis://:secret@redis/0?no_such_option=1",
        "rediss://:secret@redis/0?ssl_cert_reqs=perhaps",
    ],
)
def test_what_cannot_be_right_is_refused_without_repeating_its_password(written: str) -> None:
    with pytest.raises(EnvError, match="REDIS_URL") as refusal:
        redis_url(written)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("environment", [{"REDIS_URL": "redis"}, {"REDIS_SECONDS": "0"}])
def test_a_setting_that_cannot_be_right_stops_the_start(environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "manage.py", "check"]
    full = os.environ | {"DATA_DIR": str(tmp_path)} | environment
    done = subprocess.run(command, cwd=ROOT, env=full, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert next(iter(environment)) in done.stderr


def test_a_site_without_redis_does_not_load_its_client(tmp_path: Path) -> None:
    program = "import sys; import config.asgi; sys.exit('redis' in sys.modules)"
    environment = {name: setting for name, setting in os.environ.items() if name != "REDIS_URL"}
    full = environment | {"DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "config.settings"}
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=full, check=True)
