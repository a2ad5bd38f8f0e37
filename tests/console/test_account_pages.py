"""A person's own account: signing in with a second factor, known browsers, and sessions."""

import re

import pyotp
import pytest
from django.contrib.admin.models import LogEntry
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from accounts import devices, second_factor, sign_in
from accounts.models import User
from core import clock
from tests.conftest import PASSWORD
from tests.console.scenes import read

pytestmark = pytest.mark.django_db

FAR, ELSEWHERE = {"REMOTE_ADDR": "192.0.2.7"}, {"REMOTE_ADDR": "198.51.100.4"}


@pytest.fixture(autouse=True)
def _quick_hashes(settings: Settings, owner: User, member: User) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    for user in (owner, member):
        user.set_password(PASSWORD)
        user.save()


@pytest.fixture
def secret(owner: User) -> str:
    secret = second_factor.new_secret()
    assert second_factor.turn_on(owner, secret, code(secret, -1))
    return secret


def code(secret: str, steps: int = 0) -> str:
    return pyotp.TOTP(secret).at(clock.timestamp(), counter_offset=steps)


def attempt(client: Client, email: str, password: str = "wrong", code: str = "", **extra: str) -> int:
    typed = {"username": email, "password": password, "code": code}
    return client.post("/login", typed, **extra).status_code  # type: ignore[arg-type]


def is_signed_in(client: Client) -> bool:
    return client.get("/console/password").status_code == 200


def exhaust(email: str, times: int, **extra: str) -> None:
    for _ in range(times):
        attempt(Client(), email, **extra)


def test_failures_from_one_network_lock_nobody_out_elsewhere(owner: User) -> None:
    exhaust(owner.email, sign_in.ACCOUNT_ATTEMPTS, **FAR)
    assert attempt(Client(), owner.email, PASSWORD, **FAR) == 429
    assert attempt(Client(), owner.email, PASSWORD, **ELSEWHERE) == 302


def test_a_known_browser_signs_in_whatever_strangers_tried(owner: User) -> None:
    known, new = Client(), Client()
    assert attempt(known, owner.email, PASSWORD) == 302
    known.post("/logout")
    for number in range(sign_in.STRANGERS_ATTEMPTS):
        attempt(Client(), owner.email, REMOTE_ADDR=f"192.0.2.{number}")
    exhaust(owner.email, sign_in.ACCOUNT_ATTEMPTS)
    assert attempt(new, owner.email, PASSWORD) == 429
    assert attempt(new, owner.email, PASSWORD, **ELSEWHERE) == 429
    assert attempt(known, owner.email.upper(), PASSWORD) == 302


def test_a_known_browser_has_no_more_tries_than_any_other(owner: User, member: User) -> None:
    known = Client()
    attempt(known, owner.email, PASSWORD)
    known.post("/logout")
    assert [attempt(known, owner.email) for _ in range(sign_in.ACCOUNT_ATTEMPTS)] == [400] * sign_in.ACCOUNT_ATTEMPTS
    assert attempt(known, owner.email, PASSWORD) == 429
    # For another account it is no more known than any.
    assert attempt(known, member.email) == 400


def test_a_browsers_cookie_is_signed_kept_from_scripts_and_names_nobody(owner: User) -> None:
    client = Client()
    attempt(client, owner.email, PASSWORD)
    morsel = client.cookies[devices.COOKIE]
    assert (morsel["httponly"], morsel["samesite"], morsel["path"]) == (True, "Lax", "/login")
    assert devices.device_of(morsel.value, owner.email)
    assert not devices.device_of(morsel.value, "other@example.org")
    assert not devices.device_of(morsel.value + "x", owner.email)
    assert owner.email not in devices._read(morsel.value)
    assert not devices.device_of("", owner.email)


def test_a_browser_knows_few_people(owner: User) -> None:
    cookie = None
    for number in range(devices.MAX_PEOPLE + 1):
        cookie = devices.remembering(cookie, f"person{number}@example.org")
    known = [
        number for number in range(devices.MAX_PEOPLE + 1) if devices.device_of(cookie, f"person{number}@example.org")
    ]
    assert known == list(range(1, devices.MAX_PEOPLE + 1))


def test_signing_in_asks_for_the_second_factor(owner: User, secret: str) -> None:
    client = Client()
    response = client.post("/login", {"username": owner.email, "password": PASSWORD, "next": "/console/"})
    assert response.headers["Location"] == "/login/code"
    assert not is_signed_in(client)
    assert client.post("/login/code", {"code": "000000"}).status_code == 400
    assert client.post("/login/code", {"code": code(secret)}).headers["Location"] == "/console/"
    assert is_signed_in(client)


def test_the_code_is_asked_of_nobody_who_gave_no_password(owner: User, secret: str) -> None:
    client = Client()
    assert client.post("/login/code", {"code": code(secret)}).headers["Location"] == "/login"
    attempt(client, owner.email, PASSWORD)
    owner.set_password("another one, and longer")
    owner.save()
    assert client.post("/login/code", {"code": code(secret)}).headers["Location"] == "/login"
    assert not is_signed_in(client)


def test_codes_cannot_be_tried_for_ever(owner: User, secret: str) -> None:
    client = Client()
    attempt(client, owner.email, PASSWORD)
    tried = [client.post("/login/code", {"code": "000000"}).status_code for _ in range(sign_in.CODE_ATTEMPTS)]
    assert tried == [400] * sign_in.CODE_ATTEMPTS
    response = client.post("/login/code", {"code": code(secret)})
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) > 0
    assert not is_signed_in(client)


def test_a_second_factor_passes_where_strangers_tried_too_often(owner: User, member: User, secret: str) -> None:
    for user in (owner, member):
        for number in range(sign_in.STRANGERS_ATTEMPTS):
            attempt(Client(), user.email, REMOTE_ADDR=f"192.0.2.{number}")
    client = Client()
    assert attempt(client, owner.email, PASSWORD, **ELSEWHERE) == 429
    assert attempt(client, owner.email, PASSWORD, "000000", **ELSEWHERE) == 400
    assert attempt(client, owner.email, PASSWORD, code(secret), **ELSEWHERE) == 302
    assert is_signed_in(client)
    # A code helps nobody who has no second factor, nor a password that is wrong.
    assert attempt(Client(), member.email, PASSWORD, code(secret, 1), **ELSEWHERE) == 400


def test_a_person_turns_the_second_factor_on_and_off(owner: User) -> None:
    client = Client()
    client.force_login(owner)
    page = read(client.get("/console/second-factor"))
    secret = "".join(re.findall(r"<code>([A-Z2-7 ]+)</code>", page)).replace(" ", "")
    assert client.post("/console/second-factor", {"code": "000000"}).status_code == 400
    assert not second_factor.is_on(owner)
    page = read(client.post("/console/second-factor", {"code": code(secret)}))
    assert len(re.findall(r"<li><code>[a-z0-9]{5}-[a-z0-9]{5}</code>", page)) == second_factor.RECOVERY_CODES
    assert second_factor.is_on(owner)
    assert secret not in read(client.get("/console/second-factor"))
    assert client.post("/console/second-factor/change", {"password": "wrong", "wanted": "off"}).status_code == 400
    assert second_factor.is_on(owner)
    client.post("/console/second-factor/change", {"password": PASSWORD, "wanted": "off"})
    assert not second_factor.is_on(owner)
    said = set(LogEntry.objects.values_list("change_message", flat=True))
    assert said == {"Turned the second factor on.", "Turned the second factor off."}


def test_a_person_sees_and_ends_sessions(owner: User, member: User) -> None:
    here, there, theirs = (Client(headers={"User-Agent": agent}) for agent in ("Firefox Linux", "Safari iPhone", "Edg"))
    for client, user in ((here, owner), (there, owner), (theirs, member)):
        client.force_login(user)
        assert is_signed_in(client)
    page = read(here.get("/console/sessions"))
    assert "Firefox on Linux" in page
    assert "Safari on iPhone" in page
    assert "Edge" not in page
    assert str(there.session.session_key) not in page
    (action,) = re.findall(r'action="(/console/sessions/\d+/end)"', page)
    assert theirs.post(action).status_code == 404
    assert is_signed_in(there)
    here.post(action)
    assert [is_signed_in(client) for client in (here, there, theirs)] == [True, False, True]
    there.force_login(owner)
    assert is_signed_in(there)
    here.post("/console/sessions/end-others")
    assert [is_signed_in(client) for client in (here, there, theirs)] == [True, False, True]


def test_another_password_leaves_this_session_alone_on_the_list(owner: User) -> None:
    here, there = Client(), Client()
    for client in (here, there):
        client.force_login(owner)
        assert is_signed_in(client)
    new = "a new and longer phrase"
    here.post("/console/password", {"old_password": PASSWORD, "new_password1": new, "new_password2": new})
    page = read(here.get("/console/sessions"))
    assert page.count("last used") == 1
    assert "this browser" in page
    assert owner.browser_sessions.count() == 1


@pytest.mark.parametrize("page", ["password", "sessions", "second-factor"])
def test_nobody_else_sees_an_account(page: str) -> None:
    assert Client().get(f"/console/{page}").headers["Location"].startswith("/login")
    cache.clear()
