import asyncio
import json
import random
import time
from uuid import UUID

import pytest
from django.db import connection

from accounts.models import Team
from credits import audit, ledger
from credits.models import Account, Entry, Hold
from tests.credits.proof import proof_count
from tests.credits.scenes import DOLLAR, child, take

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


def test_four_processes_at_once_let_exactly_ten_holds_through(team: Team, account: Account) -> None:
    for _ in range(proof_count(reduced=1, full=25)):
        processes = [child("spend", team.pk, DOLLAR, 50) for _ in range(4)]
        for process in processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        reports = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
        assert sum(report["held"] for report in reports) == 10
        assert sum(report["refused"] for report in reports) == 190
        account.refresh_from_db()
        assert account.available_nano == 0
        asyncio.run(_release_all())


async def _release_all() -> None:
    hold_ids = await asyncio.to_thread(_open_holds)
    await asyncio.gather(*(ledger.release(hold_id) for hold_id in hold_ids))


def _open_holds() -> list[UUID]:
    try:
        return list(Hold.objects.filter(state="open").values_list("id", flat=True))
    finally:
        connection.close()


def test_a_process_killed_under_load_leaves_an_account_that_adds_up(team: Team, account: Account) -> None:
    chance = random.Random(11)
    for _ in range(proof_count(reduced=2, full=100)):
        process = child("load", team.pk, 20)
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
        time.sleep(0.1 + 0.4 * chance.random())
        process.kill()
        process.communicate()
        assert audit.check(team.pk) == []
    assert Entry.objects.filter(kind="charge").count() > 0
    time.sleep(1.1)
    asyncio.run(_touch(team.pk))
    account.refresh_from_db()
    assert account.held_nano == 0
    assert not Hold.objects.filter(state="open").exists()


async def _touch(account_id: int) -> None:
    await ledger.release((await take(account_id, 0)).id)


def test_a_process_that_ends_commits_what_was_asked_for_at_the_last_moment(team: Team, account: Account) -> None:
    process = child("leave", team.pk, 30)
    process.communicate("go\n", timeout=60)
    account.refresh_from_db()
    assert (account.held_nano, account.balance_nano) == (0, 10 * DOLLAR)
