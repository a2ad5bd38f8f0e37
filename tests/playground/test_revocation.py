import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session
from django.test import Client
from pytest_django import Settings

from accounts.models import BrowserSession, Membership, User
from core import changes, clock
from playground import limits
from tests.fakes.tgi import FakeTgi
from tests.patience import PATIENCE_SECONDS, Stopwatch, eventually
from tests.playground.cast import PROJECT, Cast, browser, calls, conversation_of
from tests.playground.tab import Tab, handshake, session_of, tab
from tests.runtimes import runtime
from tests.web.test_origins import HOSTILE

begin = sync_to_async(conversation_of)
sign_in = sync_to_async(session_of)
CLOSED = {"type": "websocket.close", "code": 4403}


async def refused(session: str, origin: str) -> bool:
    socket = handshake(session, origin)
    connected, _ = await socket.connect(timeout=PATIENCE_SECONDS)
    await socket.disconnect(timeout=PATIENCE_SECONDS)
    return not connected


async def test_a_handshake_from_a_hostile_page_is_refused_though_its_cookie_is_right(cast: Cast, tgi: FakeTgi) -> None:
    session = await sign_in(cast.member)
    for origin in [*HOSTILE, "http://evil.test", "http://testserver:80", "http://testserver.evil.test", "null"]:
        assert await refused(session, origin), origin
    assert not await refused(session, "http://testserver")


async def test_a_handshake_without_a_valid_session_is_refused(cast: Cast, tgi: FakeTgi) -> None:
    ended = await sign_in(cast.member)
    await Session.objects.filter(pk=ended).adelete()
    inactive = await sign_in(cast.owner)
    await User.objects.filter(pk=cast.owner.pk).aupdate(is_active=False)
    for session in ("", "x", "0" * 32, ended, inactive):
        assert await refused(session, "http://testserver"), session


async def test_the_sockets_of_one_person_are_bounded(cast: Cast, tgi: FakeTgi) -> None:
    session = await sign_in(cast.member)
    sockets = [handshake(session) for _ in range(limits.MAX_SOCKETS_PER_USER + 1)]
    connected = [(await socket.connect(timeout=PATIENCE_SECONDS))[0] for socket in sockets]
    assert connected == [True] * limits.MAX_SOCKETS_PER_USER + [False]
    for socket in sockets:
        await socket.disconnect(timeout=PATIENCE_SECONDS)
    assert not await refused(session, "http://testserver")


async def remove_member(cast: Cast, session: str) -> None:
    await cast.member.memberships.all().adelete()


async def make_viewer(cast: Cast, session: str) -> None:
    await cast.member.memberships.aupdate(role=Membership.Role.VIEWER)


async def deactivate(cast: Cast, session: str) -> None:
    await User.objects.filter(pk=cast.member.pk).aupdate(is_active=False)


async def sign_out(cast: Cast, session: str) -> None:
    await Session.objects.filter(pk=session).adelete()


async def change_password(cast: Cast, session: str) -> None:
    cast.member.set_unusable_password()
    await cast.member.asave()


REVOCATIONS = [remove_member, make_viewer, deactivate, sign_out, change_password]


async def closing(chat: Tab) -> float:
    """Wait for the revocation and return how long it took."""
    with Stopwatch() as watch:
        await chat.hear("revoked")
        assert await chat.socket.receive_output(timeout=PATIENCE_SECONDS) == CLOSED
    return watch.seconds


async def open_tab(session: str) -> Tab:
    socket = handshake(session)
    assert (await socket.connect(timeout=PATIENCE_SECONDS))[0]
    chat = Tab(socket)
    await chat.say(type="watch", project=PROJECT)
    await chat.hear("balance")
    # The watcher of changes needs a moment after its start to vouch for what it heard.
    await eventually(changes.is_watching)
    return chat


@pytest.mark.parametrize("revoke", REVOCATIONS)
async def test_a_socket_closes_within_a_second_of_the_change(
    cast: Cast, tgi: FakeTgi, revoke: Callable[[Cast, str], Awaitable[None]]
) -> None:
    session = await sign_in(cast.member)
    chat = await open_tab(session)
    async with tab(cast.owner) as other:
        await revoke(cast, session)
        assert await closing(chat) < 1
        await other.say(type="watch", project=PROJECT)
        assert (await other.hear("balance", "revoked"))["type"] == "balance"


@pytest.mark.parametrize("revoke", [remove_member, make_viewer, deactivate])
async def test_a_running_answer_ends_within_a_second_of_the_change(
    cast: Cast, tgi: FakeTgi, revoke: Callable[[Cast, str], Awaitable[None]]
) -> None:

    runtime().runs.watch_access()
    tgi.script.endless, tgi.script.between = True, 0.01
    session = await sign_in(cast.member)
    conversation = await begin(cast.member)
    chat = await open_tab(session)
    await chat.ask(conversation.pk, "Go on for ever")
    await chat.hear("chunks")
    await revoke(cast, session)
    assert await closing(chat) < 1
    await eventually(lambda: calls(tgi)[-1].closed_at, 1)


async def talking(cast: Cast, tgi: FakeTgi, session: str) -> tuple[Tab, str]:
    """Have an answer come that does not end by itself; return its tab and its run."""
    tgi.script.endless, tgi.script.between = True, 0.01
    conversation = await begin(cast.member)
    chat = await open_tab(session)
    run = (await chat.ask(conversation.pk, "Go on for ever"))["run"]
    await chat.hear("chunks")
    return chat, run


@pytest.mark.parametrize("end_login", [sign_out, change_password])
@pytest.mark.parametrize("is_open", [True, False])
async def test_an_answer_ends_within_a_second_of_the_login_that_asked_for_it(
    cast: Cast, tgi: FakeTgi, end_login: Callable[[Cast, str], Awaitable[None]], is_open: bool
) -> None:
    session = await sign_in(cast.member)
    chat, _ = await talking(cast, tgi, session)
    if not is_open:
        # Signing out leaves the page, most often before the change is heard.
        await chat.socket.disconnect(timeout=PATIENCE_SECONDS)
    await end_login(cast, session)
    if is_open:
        assert (await chat.hear("revoked"))["error"]["code"] == "signed_out"
    await eventually(lambda: calls(tgi)[-1].closed_at, 1)


async def end_on_its_day(cast: Cast, session: str, settings: Settings) -> datetime:
    end = clock.now() + timedelta(seconds=3)
    await Session.objects.filter(pk=session).aupdate(expire_date=end)
    return end


async def end_for_want_of_use(cast: Cast, session: str, settings: Settings) -> datetime:
    settings.SESSION_IDLE_SECONDS = 600
    end = clock.now() + timedelta(seconds=3)
    # The first use is written down after a page; a socket's later.
    used_at = end - timedelta(seconds=600)
    await BrowserSession.objects.acreate(session_key=session, user=cast.member, used_at=used_at)
    return end


@pytest.mark.parametrize("end_at", [end_on_its_day, end_for_want_of_use])
async def test_a_session_that_ends_by_itself_closes_its_socket_at_that_moment(
    cast: Cast, tgi: FakeTgi, settings: Settings, end_at: Callable[[Cast, str, Settings], Awaitable[datetime]]
) -> None:
    session = await sign_in(cast.member)
    end = await end_at(cast, session, settings)
    # Nothing is said on it, which would be use.
    chat = Tab(handshake(session))
    assert (await chat.socket.connect(timeout=PATIENCE_SECONDS))[0]
    async with tab(cast.owner) as other:
        assert (await chat.hear("revoked"))["error"]["code"] == "signed_out"
        assert 0 <= (clock.now() - end).total_seconds() < 1
        await other.say(type="watch", project=PROJECT)
        assert (await other.hear("balance", "revoked"))["type"] == "balance"


async def test_what_is_said_on_a_socket_is_use_of_its_session(cast: Cast, tgi: FakeTgi, settings: Settings) -> None:
    settings.SESSION_IDLE_SECONDS = 600
    session = await sign_in(cast.member)
    used_at = clock.now() - timedelta(seconds=500)
    await BrowserSession.objects.acreate(session_key=session, user=cast.member, used_at=used_at)
    await open_tab(session)
    used = await BrowserSession.objects.aget()
    assert clock.now() - used.used_at < timedelta(seconds=30)


async def test_an_answer_that_another_login_reads_goes_on_when_one_ends(cast: Cast, tgi: FakeTgi) -> None:
    session = await sign_in(cast.member)
    chat, run = await talking(cast, tgi, session)
    async with tab(cast.member) as other:
        await other.say(type="attach", run=run)
        await other.hear("chunks")
        await sign_out(cast, session)
        await closing(chat)
        await asyncio.sleep(1)
        assert not calls(tgi)[-1].closed_at
        await other.say(type="stop", run=run)
        assert (await other.hear("ended"))["message"]["state"] == "stopped"


async def test_a_change_that_takes_nothing_away_closes_nothing(cast: Cast, tgi: FakeTgi) -> None:
    async with tab(cast.viewer) as chat:
        await chat.say(type="watch", project=PROJECT)
        await chat.hear("balance")
        await cast.viewer.memberships.aupdate(role=Membership.Role.ADMIN)
        await cast.member.memberships.all().adelete()
        await asyncio.sleep(1.1)
        await chat.say(type="watch", project=PROJECT)
        assert (await chat.hear("balance", "revoked"))["type"] == "balance"


async def test_a_message_on_a_dead_session_is_refused_even_before_the_change_is_heard(cast: Cast, tgi: FakeTgi) -> None:
    session = await sign_in(cast.member)
    socket = handshake(session)
    await socket.connect(timeout=PATIENCE_SECONDS)
    chat = Tab(socket)
    conversation = await begin(cast.member)
    await Session.objects.filter(pk=session).adelete()
    await chat.say(type="send", ref="r", conversation=str(conversation.pk), content="x")
    await chat.hear("revoked")
    assert not calls(tgi)
    assert not await conversation.messages.aexists()


def test_a_signed_out_browser_gets_no_page() -> None:
    assert Client().get("/playground").headers["location"].startswith("/login")
    assert browser(None).get("/playground/balance").json()["error"]["code"] == "signed_out"
