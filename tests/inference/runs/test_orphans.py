"""What the runs of dead processes had set aside, and how it is noticed that a process is dead."""

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from accounts.models import Project, Team
from core import ids
from credits import ledger
from credits.models import Account, Hold
from inference.models import ServingProcess
from inference.runs import orphans
from inference.runs.leases import Lease
from tests.inference.scenes import DOLLAR
from tests.patience import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]

HOME = "a" * 32


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function that blocks."""
    return await sync_to_async(function, thread_sensitive=False)(*arguments)


async def hold(project: Project, process: str, number: int = 0) -> UUID:
    """Set 100 nano-credits aside for a run of the process."""
    run = f"{process}{number:024x}"
    taken = await ledger.hold(project.team_id, 100, run=run, project=str(project.pk), key="", seconds=600)
    return taken.id


@pytest.fixture
async def funded(team: Team) -> Team:
    """A team with a dollar."""
    await ledger.agrant(team.pk, DOLLAR, reason="for the tests", actor="tests")
    return team


def lease(process: str) -> Lease:
    """Return the lease of a process, which is soon over."""
    return Lease(process, HOME, renew_seconds=60, lease_seconds=0.3, grace_seconds=0)


async def test_what_a_dead_process_held_is_given_back_and_others_keep_theirs(funded: Team, project: Project) -> None:
    dead, alive = ids.new_name(), ids.new_name()
    for number, name in enumerate((dead, dead, alive)):
        await hold(project, name, number)
    # One that was settled before the end.
    ended = await hold(project, dead, 9)
    await ledger.settle(ended, 40, price="1")
    assert await in_thread(orphans.expire, dead) == 2
    assert [each.run[:8] async for each in Hold.objects.filter(state=Hold.State.OPEN)] == [alive]
    account = await Account.objects.aget(pk=funded.pk)
    assert (account.balance_nano, account.held_nano) == (DOLLAR - 40, 100)


async def test_a_process_that_was_taken_for_dead_still_charges_what_it_delivered(
    funded: Team, project: Project
) -> None:
    held = await hold(project, "0a0a0a0a")
    assert await in_thread(orphans.expire, "0a0a0a0a") == 1
    settlement = await ledger.settle(held, 40, price="1")
    assert (settlement.charged_nano, settlement.lost_nano) == (40, 0)


async def test_who_has_the_lock_of_a_data_dir_knows_that_all_before_are_dead(funded: Team, project: Project) -> None:
    for name, home in (("0a0a0a0a", HOME), ("0b0b0b0b", HOME), ("0c0c0c0c", "b" * 32)):
        await ServingProcess.objects.acreate(name=name, home=home)
        await hold(project, name)
    assert await in_thread(orphans.expire_of, HOME) == 2
    assert [each.name async for each in ServingProcess.objects.all()] == ["0c0c0c0c"]
    assert [each.run[:8] async for each in Hold.objects.filter(state=Hold.State.OPEN)] == ["0c0c0c0c"]


def test_a_process_that_renews_no_more_is_noticed_and_one_that_renews_is_not() -> None:
    mine, dead, alive = (lease(name) for name in ("0a0a0a0a", "0b0b0b0b", "0c0c0c0c"))
    dead.renew()
    ended: set[str] = set()

    def is_noticed() -> bool:
        alive.renew()
        ended.update(mine.renew())
        return bool(ended)

    until(is_noticed)
    assert ended == {"0b0b0b0b"}


def test_a_process_that_was_taken_for_dead_is_alive_again_when_it_renews() -> None:
    mistaken = lease("0b0b0b0b")
    mistaken.renew()
    orphans.expire("0b0b0b0b")
    assert not ServingProcess.objects.exists()
    mistaken.renew()
    assert ServingProcess.objects.get().home == HOME


def test_after_an_outage_nobody_is_taken_for_dead_before_all_could_come_back() -> None:
    mine = Lease("0a0a0a0a", HOME, renew_seconds=60, lease_seconds=0, grace_seconds=3_600)
    lease("0b0b0b0b").renew()
    mine.renew()
    until(lambda: mine.renew() == ["0b0b0b0b"])
    mine.distrust()
    assert [mine.renew() for _ in range(5)] == [[]] * 5


def test_a_process_that_was_late_itself_takes_nobody_for_dead() -> None:
    late = Lease("0a0a0a0a", HOME, renew_seconds=0, lease_seconds=0, grace_seconds=3_600)
    lease("0b0b0b0b").renew()
    assert [late.renew() for _ in range(5)] == [[]] * 5


async def test_the_thread_gives_back_what_it_finds_and_ends_with_its_lease(funded: Team, project: Project) -> None:
    await hold(project, "0b0b0b0b")

    def scene() -> None:
        # Rounds that a busy machine delays count for nothing.
        mine = Lease("0a0a0a0a", HOME, renew_seconds=0.5, lease_seconds=0.2, grace_seconds=0)
        try:
            lease("0b0b0b0b").renew()
            mine.begin()
            until(lambda: not Hold.objects.filter(state=Hold.State.OPEN).exists())
            until(lambda: list(ServingProcess.objects.values_list("pk", flat=True)) == ["0a0a0a0a"])
            mine.end()
            assert not ServingProcess.objects.exists()
            assert "lease" not in {thread.name for thread in threading.enumerate()}
        finally:
            mine.end()
            connection.close()

    await in_thread(scene)
