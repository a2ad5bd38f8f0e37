"""Requests in flight, counted against the project and the user who sent them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from channels.db import database_sync_to_async
from pytest_django.fixtures import Settings

from accounts.caller import Caller
from accounts.models import Project, Team, User
from inference.errors import ConcurrencyLimited
from tests.inference.scenes import caller_in
from tests.runtimes import runtime

pytestmark = pytest.mark.django_db(transaction=True)


def elsewhere(team: Team, user: User) -> Caller:
    """The same person in another project."""
    return caller_in(team.projects.create(slug="research"), user)


@asynccontextmanager
async def slot(caller: Caller) -> AsyncIterator[None]:
    """Count a request while the block lasts."""
    admitted = await runtime().admission.take(caller)
    try:
        yield
    finally:
        admitted.give_back()


async def fill(stack: AsyncExitStack, caller: Caller, count: int) -> None:
    for _ in range(count):
        await stack.enter_async_context(slot(caller))


async def refusal(caller: Caller) -> ConcurrencyLimited:
    with pytest.raises(ConcurrencyLimited) as raised:
        async with slot(caller):
            pass
    return raised.value


async def test_requests_in_flight_are_counted_by_project(
    team: Team, project: Project, member: User, owner: User, settings: Settings
) -> None:
    settings.PROJECT_CONCURRENCY = 2
    mine, theirs = caller_in(project, member), caller_in(project, owner)
    other = await database_sync_to_async(elsewhere)(team, member)
    for _ in range(2):
        async with AsyncExitStack() as stack:
            await fill(stack, mine, 2)
            assert (await refusal(theirs)).limit == 2
            await fill(stack, other, 2)


async def test_requests_in_flight_are_counted_by_user_in_all_projects(
    team: Team, project: Project, member: User, owner: User, settings: Settings
) -> None:
    settings.USER_CONCURRENCY = 2
    mine, theirs = caller_in(project, member), caller_in(project, owner)
    other = await database_sync_to_async(elsewhere)(team, member)
    async with AsyncExitStack() as stack:
        await fill(stack, mine, 1)
        await fill(stack, other, 1)
        assert (await refusal(mine)).limit == (await refusal(other)).limit == 2
        await fill(stack, theirs, 2)
    async with slot(mine):
        pass


async def test_a_refused_request_takes_no_slot(project: Project, member: User, settings: Settings) -> None:
    settings.USER_CONCURRENCY = 1
    caller = caller_in(project, member)
    for _ in range(3):
        async with slot(caller):
            await refusal(caller)


async def test_a_refusal_says_when_a_slot_is_expected(project: Project, member: User, settings: Settings) -> None:
    settings.USER_CONCURRENCY = 1
    caller = caller_in(project, member)
    async with slot(caller):
        assert ((await refusal(caller)).retry_after_seconds or 0) >= 1
