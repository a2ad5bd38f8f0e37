"""Signing in, out, and failing to."""

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from accounts import sign_in
from accounts.models import User
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db

WRONG_PASSWORD = "wrong"
WRONG = "This e-mail and password do not go together."


@pytest.fixture(autouse=True)
def _quick_hashes(settings: Settings, owner: User, viewer: User) -> None:
    """Hash quickly: a third of a second for each of some hundred attempts would add up."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    for user in (owner, viewer):
        user.set_password(PASSWORD)
        user.save()


def attempt(client: Client, email: str, password: str = WRONG_PASSWORD, **extra: str) -> tuple[int, str]:
    response = client.post("/login", {"username": email, "password": password}, **extra)  # type: ignore[arg-type]
    return response.status_code, response.content.decode()


def test_a_person_signs_in_with_an_email_in_any_case_and_out_again(owner: User) -> None:
    client = Client()
    response = client.post("/login", {"username": "Owner@Example.ORG", "password": PASSWORD})
    assert response.status_code == 302
    assert response.headers["Location"] == "/"
    assert client.get("/console/password").status_code == 200
    assert client.get("/logout").status_code == 405
    assert client.post("/logout").headers["Location"] == "/login"
    assert client.get("/console/password").status_code == 302


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "/\\evil.example"]
)
def test_a_sign_in_leads_to_no_other_site(owner: User, target: str) -> None:
    response = Client().post("/login", {"username": owner.email, "password": PASSWORD, "next": target})
    assert response.headers["Location"] == "/"


def test_a_sign_in_leads_back_to_where_it_began(owner: User) -> None:
    response = Client().post("/login", {"username": owner.email, "password": PASSWORD, "next": "/console/"})
    assert response.headers["Location"] == "/console/"


def test_a_known_an_unknown_and_an_inactive_person_fail_in_the_same_words(owner: User, viewer: User) -> None:
    User.objects.filter(pk=viewer.pk).update(is_active=False)
    client = Client()
    known = attempt(client, owner.email)
    unknown = attempt(client, "nobody@example.org")
    inactive = attempt(client, viewer.email, PASSWORD)
    assert known[0] == unknown[0] == inactive[0] == 400
    assert WRONG in known[1]
    assert WRONG in unknown[1]
    assert WRONG in inactive[1]


def test_the_form_needs_its_csrf_token(owner: User) -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.post("/login", {"username": owner.email, "password": PASSWORD}).status_code == 403


@pytest.mark.parametrize("email", ["owner@example.org", "nobody@example.org"])
def test_after_ten_failures_an_address_waits_whether_it_is_known_or_not(owner: User, email: str) -> None:
    client = Client()
    for _ in range(sign_in.ACCOUNT_ATTEMPTS):
        assert attempt(client, email)[0] == 400
    # Not even the right password is looked at.
    status, page = attempt(client, email, PASSWORD)
    assert status == 429
    assert "Too many attempts. Try again in 15 minutes." in page
    assert attempt(client, email.upper(), PASSWORD)[0] == 429


def test_a_refusal_says_when_to_come_again(owner: User) -> None:
    client = Client()
    for _ in range(sign_in.ACCOUNT_ATTEMPTS):
        attempt(client, owner.email)
    response = client.post("/login", {"username": owner.email, "password": PASSWORD})
    assert 0 < int(response.headers["Retry-After"]) <= sign_in.WINDOW_SECONDS


def test_a_sign_in_begins_the_count_anew_but_an_empty_password_does_not(owner: User) -> None:
    client = Client()
    for _ in range(sign_in.ACCOUNT_ATTEMPTS - 1):
        attempt(client, owner.email)
    attempt(client, owner.email, "")
    assert attempt(client, owner.email, PASSWORD)[0] == 429
    cache.clear()
    for _ in range(2):
        for _ in range(sign_in.ACCOUNT_ATTEMPTS - 1):
            attempt(Client(), owner.email)
        assert attempt(Client(), owner.email, PASSWORD)[0] == 302


def test_one_computer_cannot_try_everybody() -> None:
    client = Client()
    for number in range(sign_in.NETWORK_ATTEMPTS):
        assert attempt(client, f"person{number}@example.org")[0] == 400
    assert attempt(client, "another@example.org")[0] == 429
    assert attempt(client, "another@example.org", REMOTE_ADDR="192.0.2.7")[0] == 400


def test_a_member_changes_the_password_and_other_sessions_end(owner: User) -> None:
    here, elsewhere = Client(), Client()
    here.force_login(owner)
    elsewhere.force_login(owner)
    new = "a new and longer phrase"
    response = here.post(
        "/console/password", {"old_password": PASSWORD, "new_password1": new, "new_password2": new}, follow=True
    )
    assert b"Your password is changed" in response.content
    assert here.get("/console/password").status_code == 200
    assert elsewhere.get("/console/password").status_code == 302
    owner.refresh_from_db()
    assert owner.check_password(new)


def test_whoever_found_an_open_session_cannot_guess_the_password_for_ever(owner: User) -> None:
    client = Client()
    client.force_login(owner)
    new = "a new and longer phrase"
    for _ in range(10):
        client.post("/console/password", {"old_password": "guess", "new_password1": new, "new_password2": new})
    client.post("/console/password", {"old_password": PASSWORD, "new_password1": new, "new_password2": new})
    owner.refresh_from_db()
    assert owner.check_password(PASSWORD)


def test_the_panel_has_no_other_way_in(owner: User) -> None:
    assert Client().get("/admin/login/?next=/admin/").headers["Location"] == "/login?next=/admin/"
    client = Client()
    client.force_login(owner)
    # No loop between the two pages.
    assert client.get("/admin/").headers["Location"].startswith("/admin/login/")
    assert client.get("/admin/login/?next=/admin/").status_code == 403
