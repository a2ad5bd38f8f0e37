"""Sessions: where they are used, when they end by themselves, and ending them."""

from datetime import timedelta

import pytest
from django.test import Client
from pytest_django import Settings

from accounts import sessions
from accounts.models import BrowserSession, User
from accounts.sessions import SessionStore
from core import clock

pytestmark = pytest.mark.django_db

PAGE = "/console/password"


def signed_in(user: User, **extra: str) -> Client:
    client = Client(headers={"User-Agent": "Firefox\x00 on\x1b Linux"}, **extra)  # type: ignore[arg-type]
    client.force_login(user)
    assert client.get(PAGE).status_code == 200
    return client


def is_signed_in(client: Client) -> bool:
    return client.get(PAGE).status_code == 200


def used_ago(seconds: float) -> None:
    BrowserSession.objects.update(used_at=clock.now() - timedelta(seconds=seconds))


def test_a_session_is_listed_with_where_it_is_used(owner: User) -> None:
    client = signed_in(owner, REMOTE_ADDR="192.0.2.7")
    (listed,) = sessions.sessions_of(owner)
    assert (listed.network, listed.agent) == ("192.0.2.7", "Firefox on Linux")
    assert listed.session_key == client.session.session_key


def test_its_use_is_written_down_once_a_minute(owner: User) -> None:
    client = signed_in(owner)
    first = BrowserSession.objects.get().used_at
    assert is_signed_in(client)
    assert BrowserSession.objects.get().used_at == first
    used_ago(sessions.USE_SECONDS + 1)
    assert is_signed_in(client)
    assert BrowserSession.objects.get().used_at >= first


def test_a_person_ends_one_session_and_no_other_persons(owner: User, member: User) -> None:
    here, there, theirs = signed_in(owner), signed_in(owner), signed_in(member)
    found = {row.session_key: row.pk for row in sessions.sessions_of(owner)}
    assert len(found) == 2
    assert sessions.end(owner, found[str(there.session.session_key)])
    assert [is_signed_in(here), is_signed_in(there)] == [True, False]
    foreign = member.browser_sessions.get().pk
    assert not sessions.end(owner, foreign)
    assert is_signed_in(theirs)


def test_all_others_end_at_once(owner: User) -> None:
    here, *others = [signed_in(owner) for _ in range(3)]
    assert sessions.end_others(owner, here.session.session_key) == 2
    assert [is_signed_in(client) for client in (here, *others)] == [True, False, False]
    assert len(list(sessions.sessions_of(owner))) == 1


def test_signing_out_takes_a_session_off_the_list(owner: User) -> None:
    client = signed_in(owner)
    client.post("/logout")
    assert not list(sessions.sessions_of(owner))
    signed_in(owner)
    assert len(list(sessions.sessions_of(owner))) == 1


def test_another_password_takes_all_others_off_the_list(owner: User) -> None:
    signed_in(owner)
    owner.set_password("another one, and longer")
    owner.save()
    assert not list(sessions.sessions_of(owner))


def test_a_session_that_nobody_used_ends(owner: User, settings: Settings) -> None:
    settings.SESSION_IDLE_SECONDS = 600
    client = signed_in(owner)
    used_ago(599)
    assert is_signed_in(client)
    assert BrowserSession.objects.get().used_at > clock.now() - timedelta(seconds=60)
    used_ago(601)
    assert not list(sessions.sessions_of(owner))
    assert not is_signed_in(client)


def test_a_session_lasts_so_long_however_much_it_is_used(owner: User, settings: Settings) -> None:
    settings.SESSION_COOKIE_AGE = 3_600
    client = signed_in(owner)
    end = SessionStore.get_model_class().objects.get().expire_date
    assert end - clock.now() < timedelta(seconds=3_601)
    session = client.session
    session["something"] = 1
    session.save()
    assert is_signed_in(client)
    assert SessionStore.get_model_class().objects.get().expire_date == end


def test_a_session_of_the_version_before_is_taken_over(owner: User, settings: Settings) -> None:
    settings.SESSION_IDLE_SECONDS = 600
    client = signed_in(owner)
    BrowserSession.objects.all().delete()
    assert is_signed_in(client)
    assert BrowserSession.objects.get().user == owner
