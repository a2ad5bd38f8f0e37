"""A conversation whose browser reaches another web process than the one that answers, on this machine or another."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from django.conf import settings

from playground.models import Conversation
from tests.crew import Crew
from tests.fakes.tgi import FakeTgi
from tests.machines import Machines
from tests.patience import until
from tests.playground.cast import Cast, calls, conversation_of
from tests.playground.tab import session_of
from tests.redis_server import RedisServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def grace() -> str:
    """How long an answer goes on without a reader, in seconds: long enough for a busy machine to open another page."""
    return "20"


@pytest.fixture(params=["daphne", "uvicorn", "machines"])
def crew(
    request: pytest.FixtureRequest, tmp_path: Path, tgi: FakeTgi, redis: RedisServer, grace: str
) -> Iterator[Crew | Machines]:
    """Two web processes, in a folder whose path is too long for the address of a socket; or two machines."""
    if request.param == "machines":
        with Machines(tmp_path, redis, RECONNECT_GRACE_SECONDS=grace) as machines:
            yield machines
        return
    folder = tmp_path / ("folder-" * 10)
    folder.mkdir()
    with Crew(folder, 2, request.param, SECRET_KEY=settings.SECRET_KEY, RECONNECT_GRACE_SECONDS=grace) as crew:
        yield crew


@pytest.fixture
def session(cast: Cast) -> str:
    """The member's login."""
    return session_of(cast.member)


@pytest.fixture
def conversation(cast: Cast) -> Conversation:
    """The member's."""
    return conversation_of(cast.member)


def page(
    crew: Crew | Machines, session: str, conversation: Conversation, worker: str, method: str = "GET"
) -> httpx2.Response:
    """Ask one worker for the conversation, or for its end."""
    names = {settings.SESSION_COOKIE_NAME: session, settings.CSRF_COOKIE_NAME: "c" * 32}
    cookies = "; ".join(f"{name}={value}" for name, value in names.items())
    with crew.clients() as clients:
        return clients[worker].request(
            method,
            f"/playground/conversations/{conversation.pk}",
            headers={"cookie": cookies, "x-csrftoken": "c" * 32},
        )


def test_a_reload_at_another_worker_goes_on_without_a_gap_or_a_double(
    crew: Crew | Machines, tgi: FakeTgi, session: str, conversation: Conversation
) -> None:
    tgi.script.default_tokens, tgi.script.between = 80, 0.05
    one, other = crew.workers
    with crew.tab(session, one) as tab:
        tab.say(type="send", ref="r", conversation=str(conversation.pk), content="A long one")
        run = tab.hear("started")["run"]
        assert run.startswith(one)
        tab.hear("chunks")
        tab.hear("chunks")
    seen = tab.chunks(run)
    with crew.tab(session, other) as reloaded:
        reloaded.say(type="attach", run=run, after=max(seen))
        ended = reloaded.hear("ended")
        # Once more, from its memory, and then from what was written down.
        reloaded.say(type="attach", run=run, after=10_000)
        assert reloaded.hear("ended")["message"] == ended["message"]
        assert reloaded.hear("balance")
    more = reloaded.chunks(run)
    assert min(more) == max(seen) + 1
    both = seen | more
    assert sorted(both) == list(range(1, len(both) + 1))
    assert "".join(both[number] for number in sorted(both)) == ended["message"]["content"]
    assert ended["message"]["state"] == "complete"
    assert len(calls(tgi)) == 1


def test_an_answer_is_shown_stopped_and_kept_apart_through_another_worker(
    crew: Crew | Machines, tgi: FakeTgi, session: str, conversation: Conversation
) -> None:
    tgi.script.endless, tgi.script.between = True, 0.02
    one, other = crew.workers
    with crew.tab(session, one) as tab, crew.tab(session, other) as second:
        tab.say(type="send", ref="r", conversation=str(conversation.pk), content="Go on for ever")
        run = tab.hear("started")["run"]
        tab.hear("chunks")
        shown = page(crew, session, conversation, other).json()
        assert (shown["running"], shown["messages"][1]["state"]) == (run, "running")
        # The conversation has one answer at a time, whoever is asked for another.
        second.say(type="send", ref="s", conversation=str(conversation.pk), content="And I")
        assert second.hear("failed")["error"]["code"] == "conversation_busy"
        second.say(type="stop", run=run)
        ended = tab.hear("ended")
    assert ended["message"]["state"] == "stopped"
    assert ended["message"]["content"] == "".join(tab.chunks(run).values())
    until(lambda: calls(tgi)[-1].closed_at)


@pytest.mark.parametrize("grace", ["2"])
def test_an_answer_that_nobody_follows_through_another_worker_ends_after_the_grace(
    crew: Crew | Machines, tgi: FakeTgi, session: str, conversation: Conversation
) -> None:
    tgi.script.endless, tgi.script.between = True, 0.02
    one, other = crew.workers
    with crew.tab(session, other) as follower:
        with crew.tab(session, one) as tab:
            tab.say(type="send", ref="r", conversation=str(conversation.pk), content="Go on for ever")
            run = tab.hear("started")["run"]
            follower.say(type="attach", run=run, after=0)
            follower.hear("chunks")
        heard_until = time.monotonic() + 3
        while time.monotonic() < heard_until:
            follower.hear("chunks")
        assert not calls(tgi)[-1].closed_at
    until(lambda: calls(tgi)[-1].closed_at)


def test_a_deleted_conversation_stops_its_answer_at_another_worker(
    crew: Crew | Machines, tgi: FakeTgi, session: str, conversation: Conversation
) -> None:
    tgi.script.endless, tgi.script.between = True, 0.02
    one, other = crew.workers
    with crew.tab(session, one) as tab:
        tab.say(type="send", ref="r", conversation=str(conversation.pk), content="Go on for ever")
        tab.hear("started")
        tab.hear("chunks")
        assert page(crew, session, conversation, other, "DELETE").status_code == 204
        tab.hear("ended")
    until(lambda: calls(tgi)[-1].closed_at)


def test_an_answer_of_a_killed_worker_is_told_as_stopped(
    crew: Crew | Machines, tgi: FakeTgi, session: str, conversation: Conversation
) -> None:
    tgi.script.endless, tgi.script.between = True, 0.02
    one, other = crew.workers
    with crew.tab(session, one) as tab, crew.tab(session, other) as follower:
        tab.say(type="send", ref="r", conversation=str(conversation.pk), content="Go on for ever")
        run = tab.hear("started")["run"]
        follower.say(type="attach", run=run, after=0)
        follower.hear("chunks")
        crew.workers[one].kill()
        assert follower.hear("ended")["message"]["state"] == "stopped"
        follower.say(type="send", ref="s", conversation=str(conversation.pk), content="Again")
        assert follower.hear("started", "failed")["type"] == "started"
        follower.hear("chunks")


def test_a_stranger_hears_nothing_through_another_worker(
    crew: Crew | Machines, cast: Cast, tgi: FakeTgi, session: str, conversation: Conversation
) -> None:
    tgi.script.endless, tgi.script.between = True, 0.02
    one, other = crew.workers
    with crew.tab(session, one) as tab, crew.tab(session_of(cast.stranger), other) as stranger:
        tab.say(type="send", ref="r", conversation=str(conversation.pk), content="Go on for ever")
        run = tab.hear("started")["run"]
        for kind in ("attach", "stop"):
            stranger.say(type=kind, run=run)
            assert stranger.hear("failed", "chunks", "ended")["error"]["code"] == "not_found"
        tab.say(type="stop", run=run)
        tab.hear("ended")
