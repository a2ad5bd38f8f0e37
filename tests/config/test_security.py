"""What browsers are told, and that Django's own deployment check has nothing to add."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.test import Client, RequestFactory
from django.views.defaults import server_error

from accounts.models import User

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.django_db
@pytest.mark.parametrize("url", ["/login", "/", "/playground", "/admin/", "/nowhere", "/v1/models", "/static/theme.js"])
def test_every_response_has_a_policy_without_inline_code(owner: User, url: str) -> None:
    client = Client()
    client.force_login(owner)
    response = client.get(url)
    response.close()
    headers = response.headers
    policy = headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["Referrer-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]


@pytest.mark.django_db
def test_pictures_from_elsewhere_may_show_in_the_chat_alone(owner: User) -> None:
    client = Client()
    client.force_login(owner)
    assert "img-src 'self' https: data:;" in client.get("/playground").headers["Content-Security-Policy"]
    assert "img-src 'self';" in client.get("/").headers["Content-Security-Policy"]


@pytest.mark.django_db
def test_a_page_by_a_name_that_is_not_ours_says_what_the_operator_can_do() -> None:
    response = Client().get("/", headers={"host": "parley.example"})
    assert response.status_code == 400
    assert "ALLOWED_HOSTS" in response.text
    assert "parley.example" not in response.text


def test_a_page_that_broke_says_so_without_asking_the_database() -> None:
    response = server_error(RequestFactory().get("/"))
    assert response.status_code == 500
    assert "Something broke" in response.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(("path", "status"), [("/v1/models", 200), ("/v1/nowhere", 404)])
def test_the_api_answers_to_any_name(api_key: str, path: str, status: int) -> None:
    headers = {"host": "engine-room:8000", "authorization": f"Bearer {api_key}"}
    assert Client().get(path, headers=headers).status_code == status


def checked(tmp_path: Path, public_url: str, **environment: str) -> str:
    """Run ``check --deploy`` as an operator would."""
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), "PUBLIC_URL": public_url, **environment}
    command = [sys.executable, "manage.py", "check", "--deploy"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("public_url", ["https://parley.example.org", "http://127.0.0.1:8000", "http://localhost:8000"])
def test_the_deployment_check_is_clean(tmp_path: Path, public_url: str) -> None:
    assert "no issues" in checked(tmp_path, public_url)


def test_plain_http_for_others_keeps_its_warnings(tmp_path: Path) -> None:
    found = checked(tmp_path, "http://parley.example.org")
    assert "security.W012" in found
    assert "security.W008" in found
