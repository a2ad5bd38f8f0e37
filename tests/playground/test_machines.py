"""Answers followed at another machine, when Redis or the other machine fails."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from django.conf import settings

from playground.models import Conversation
from tests.fakes.tgi import FakeTgi
from tests.machines import Machines
from tests.patience import until
from tests.playground.cast import Cast, calls, conversation_of
from tests.playground.tab import session_of
from tests.redis_server import RedisServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def machines(tmp_path: Path, tgi: FakeTgi, redis: RedisServer) -> Iterator[Machines]:
    """Two, of which the first one answers."""
    tgi.script.endless, tgi.script.between = True, 0.05
    with Machines(tmp_path, redis, RECONNECT_GRACE_SECONDS="30") as machines:
        yield machines


@pytest.fixture
def session(cast: Cast) -> str:
    """The member's login."""
    return session_of(cast.member)


@pytest.fixture
def conversation(cast: Cast) -> Conversation:
    """The member's."""
    return conversation_of(cast.member)


def page(machines: Machines, worker: str, session: str, conversation: Conversation) -> httpx2.Response:
    with machines.clients() as clients:
        return clients[worker].get(
            f"/playground/conversations/{conversation.pk}",
            headers={"cookie": f"{settings.SESSION_COOKIE_NAME}={session}"},
        )


def test_an_answer_goes_on_where_redis_was_killed_and_started_again(
    machines: Machines, redis: RedisServer, session: str, conversation: Conversation
) -> None:
    one, other = machines.workers
    with machines.tab(session, one) as tab, machines.tab(session, other) as follower:
        tab.say(type="send", ref="r", conversation=str(conversation.pk), content="Go on for ever")
        run = tab.hear("started")["run"]
        follower.say(type="attach", run=run, after=0)
        follower.hear("chunks")
        redis.kill()
        for _ in range(10):
            tab.hear("chunks")
        redis.start()
        before = len(tab.chunks(run))
        while len(follower.chunks(run)) < before + 20:
            assert follower.hear("chunks", "ended", "failed")["type"] == "chunks"
        follower.say(type="stop", run=run)
        ended = follower.hear("ended")["message"]
        assert tab.hear("ended")["message"] == ended
    assert ended["state"] == "stopped"
    assert ended["content"] == "".join(follower.chunks(run).values()) == "".join(tab.chunks(run).values())


def test_a_long_answer_reaches_another_machine_in_letters_of_bounded_size(
    machines: Machines, tgi: FakeTgi, session: str, conversation: Conversation
) -> None:
    tgi.script.endless, tgi.script.between = False, 0
    tgi.script.answer = [f"{number} {'x' * 2_000} " for number in range(200)]
    one, other = machines.workers
    with machines.tab(session, one) as tab, machines.tab(session, other) as late:
        tab.say(type="send", ref="r", conversation=str(conversation.pk), content="Tell me much")
        run = tab.hear("started")["run"]
        tab.hear("ended")
        late.say(type="attach", run=run, after=0)
        content = late.hear("ended")["message"]["content"]
        sizes = [len(str(frame)) for frame in late.frames if frame["type"] == "chunks"]
    assert "".join(late.chunks(run).values()) == content
    assert len(content) > 400_000
    assert max(sizes) < 80_000


def test_while_redis_is_away_an_answer_elsewhere_shows_as_stopped_and_nothing_breaks(
    machines: Machines, redis: RedisServer, tgi: FakeTgi, session: str, conversation: Conversation
) -> None:
    one, other = machines.workers
    with machines.tab(session, one) as tab, machines.tab(session, other) as late:
        tab.say(type="send", ref="r", conversation=str(conversation.pk), content="Go on for ever")
        run = tab.hear("started")["run"]
        tab.hear("chunks")
        redis.kill()
        shown = page(machines, other, session, conversation)
        assert (shown.status_code, shown.json()["messages"][1]["state"]) == (200, "stopped")
        late.say(type="stop", run=run)
        late.say(type="attach", run=run, after=0)
        assert late.hear("ended", "failed")["message"]["state"] == "stopped"
        tab.hear("chunks")
        redis.start()
        until(lambda: page(machines, other, session, conversation).json()["running"] == run)
        late.say(type="stop", run=run)
        tab.hear("ended")
    until(lambda: calls(tgi)[-1].closed_at)


def test_a_machine_that_hangs_holds_no_page_up_for_long(
    machines: Machines, session: str, conversation: Conversation
) -> None:
    one, other = machines.workers
    with machines.tab(session, one) as tab, machines.tab(session, other) as late:
        tab.say(type="send", ref="r", conversation=str(conversation.pk), content="Go on for ever")
        run = tab.hear("started")["run"]
        late.say(type="attach", run=run, after=0)
        late.hear("chunks")
        machines.workers[one].suspend()
        try:
            began = time.monotonic()
            assert page(machines, other, session, conversation).json()["messages"][1]["state"] == "stopped"
            assert late.hear("ended", "failed")["message"]["state"] == "stopped"
            assert time.monotonic() - began < 20
        finally:
            machines.workers[one].resume()
        tab.say(type="stop", run=run)
        tab.hear("ended")
