"""What the application does when its server starts and ends."""

import asyncio
from typing import Any

import pytest

from accounts.caller import Caller
from accounts.models import Project, Team, User
from config.asgi import application
from credits.models import Account
from inference.runs import spine
from tests.fakes.tgi import FakeTgi
from tests.inference.listening import Listener
from tests.inference.scenes import DOLLAR, caller_in, chat, cost_nano


@pytest.fixture
def caller(funded: Team, project: Project, member: User) -> Caller:
    return caller_in(project, member)


@pytest.mark.django_db(transaction=True)
async def test_runs_that_are_under_way_are_charged_before_the_end(caller: Caller, tgi: FakeTgi) -> None:
    tgi.script.silent_after = 3
    state: dict[str, Any] = {}
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    sent: asyncio.Queue[Any] = asyncio.Queue()
    life = asyncio.ensure_future(application({"type": "lifespan", "state": state}, inbox.get, sent.put))  # type: ignore[arg-type]
    inbox.put_nowait({"type": "lifespan.startup"})
    assert await sent.get() == {"type": "lifespan.startup.complete"}
    run = spine.start(state["runtime"], caller, chat(), resumable=True)
    async with Listener(run) as listener:
        async for batch in listener:
            if batch.first + len(batch.chunks) > 3:
                break
    inbox.put_nowait({"type": "lifespan.shutdown"})
    assert await sent.get() == {"type": "lifespan.shutdown.complete"}
    await life
    assert run.is_ended
    assert (await Account.objects.aget()).balance_nano == DOLLAR - cost_nano(3)
