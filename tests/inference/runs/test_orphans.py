"""What the runs of a killed process had set aside."""

import pytest
from asgiref.sync import sync_to_async

from accounts.models import Project, Team
from core import ids
from credits import ledger
from credits.models import Account, Hold
from inference.runs import orphans
from tests.inference.scenes import DOLLAR

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]


async def test_it_is_given_back_and_other_processes_keep_theirs(team: Team, project: Project) -> None:
    await ledger.agrant(team.pk, DOLLAR, reason="for the tests", actor="tests")
    dead, alive = ids.new_name(), ids.new_name()
    for number, name in enumerate((dead, dead, alive)):
        run = f"{name}{number:024x}"
        await ledger.hold(team.pk, 100, run=run, project=str(project.pk), key="", seconds=600)
    # One whose last word came before its end.
    ended = await ledger.hold(team.pk, 100, run=f"{dead}{9:024x}", project=str(project.pk), key="", seconds=600)
    await ledger.settle(ended.id, 40, price="1")
    assert await sync_to_async(orphans.release, thread_sensitive=False)(dead) == 2
    assert [hold.run[:8] async for hold in Hold.objects.filter(state=Hold.State.OPEN)] == [alive]
    account = await Account.objects.aget(pk=team.pk)
    assert (account.balance_nano, account.held_nano) == (DOLLAR - 40, 100)


def test_run_ids_carry_the_name_of_their_process() -> None:
    assert len(ids.new_run_id()) == 32
    name = ids.new_name()
    ids.name_process(name)
    try:
        first, second = ids.new_run_id(), ids.new_run_id()
    finally:
        ids.name_process("")
    assert first != second
    assert ids.process_of(first) == ids.process_of(second) == name
    assert {len(first), len(second)} == {32}
