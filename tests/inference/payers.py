"""Runs that are paid for, or not: the same few steps for every test about what is held."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async

from accounts.caller import Caller
from credits import ledger
from credits.budgets import limits
from credits.errors import InsufficientCredits
from credits.models import Account, Hold
from inference.billing import prompt
from inference.runs import spine
from inference.runs.receipt import Receipt
from inference.runs.spine import LiveRun
from tests.fakes.server import FakeServer
from tests.inference.listening import Listener, begun
from tests.inference.scenes import INPUT_NANO, MODEL, OUTPUT_NANO, chat
from tests.runtimes import runtime


async def grant(caller: Caller, amount_nano: int) -> None:
    """Give the caller's team credits."""
    await ledger.agrant(caller.team_id, amount_nano, reason="for the tests", actor="tests")


def start(caller: Caller, *, fits: bool = False, **fields: Any) -> LiveRun:
    """Begin a run that says hello."""
    return spine.start(runtime(), caller, chat(**fields), fit_to_balance=fits)


async def finish(run: LiveRun) -> tuple[str, Receipt]:
    """Read an answer to its end; return what it says and its receipt."""
    async with Listener(run) as listener:
        text = "".join([chunk.content or "" async for batch in listener for chunk in batch.chunks])
    return text, await run.ended()


async def refused(run: LiveRun) -> InsufficientCredits:
    """Return why a run was not begun, of which the engine must not have heard."""
    with pytest.raises(InsufficientCredits) as raised:
        await begun(run)
    await run.ended()
    assert not await Hold.objects.filter(state=Hold.State.OPEN).aexists()
    return raised.value


async def bound_nano(completion_tokens: int, **fields: Any) -> int:
    """Return what is held for a prompt that nobody counted and an answer of so many tokens."""
    model = (await runtime().catalog.every())[MODEL]
    return prompt.bound(chat(**fields), model.overhead) * INPUT_NANO + completion_tokens * OUTPUT_NANO


async def balance(caller: Caller) -> int:
    """Return what the team has left; holds are settled or released a moment after their run."""
    return (await Account.objects.aget(team_id=caller.team_id)).balance_nano


async def limit_project(caller: Caller, limit_nano: int) -> None:
    """Give the caller's project a budget."""
    await sync_to_async(limits.set_budget)(
        caller.team_id, scope="project", reference=str(caller.project_id), period="total", limit_nano=limit_nano
    )


def paths(server: FakeServer) -> list[str]:
    """Return what an engine was asked for, in order."""
    return [request.path for request in server.requests]
