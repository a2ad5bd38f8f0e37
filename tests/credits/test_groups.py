import asyncio
import threading
import time
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.db import connection, transaction

from accounts.models import Project, Team
from credits import ledger
from credits.errors import InsufficientCredits, OperationRefused
from credits.ledger.book import Attribution
from credits.ledger.commit import commit
from credits.ledger.operations import Held, Operation, Settle, Settlement, Take
from credits.models import Account, Entry
from tests.credits.scenes import DOLLAR, outcomes, take

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]

PROJECT = "INSERT INTO accounts_project (team_id, slug, created_at) VALUES (%s, %s, %s)"
WHEN = "2026-01-01 00:00:00+00:00"

Poison = Callable[[Team], ledger.Write]
POISONS: list[Poison] = [
    lambda team: ledger.Write(PROJECT, (999_999, "a-team-that-is-not-there", WHEN)),
    lambda team: ledger.Write(PROJECT, (team.pk, None, WHEN)),
    lambda team: ledger.Write(PROJECT, (team.pk, "too few")),
    lambda team: ledger.Write(PROJECT, (2**70, "too big", WHEN)),
    lambda team: ledger.Write(PROJECT, (team.pk, object(), WHEN)),
    lambda team: ledger.Write("INSERT INTO nowhere (a) VALUES (%s)", (1,)),
]


@pytest.mark.parametrize("poison", POISONS)
def test_one_poisoned_operation_fails_alone(team: Team, account: Account, poison: Poison) -> None:
    async def scene() -> list[object]:
        holds = [await take(team.pk, DOLLAR // 10) for _ in range(21)]
        writes = [ledger.Write(PROJECT, (team.pk, f"project-{number}", WHEN)) for number in range(21)]
        writes[13] = poison(team)
        settled = (ledger.settle(hold.id, 5, price="1", write=write) for hold, write in zip(holds, writes, strict=True))
        return list(await outcomes(settled))

    settled = asyncio.run(scene())
    assert [number for number, outcome in enumerate(settled) if not isinstance(outcome, Settlement)] == [13]
    assert isinstance(settled[13], OperationRefused)
    account.refresh_from_db()
    assert account.balance_nano == 10 * DOLLAR - 20 * 5
    assert account.held_nano == DOLLAR // 10
    assert Project.objects.count() == 20


def test_a_run_is_charged_once_even_under_two_holds(team: Team) -> None:
    async def scene() -> None:
        holds = [await ledger.hold(team.pk, DOLLAR, run="run-1", project="p", key="", seconds=60) for _ in range(2)]
        first, second = await outcomes(ledger.settle(held.id, 5, price="1") for held in holds)
        assert isinstance(first, Settlement)
        assert isinstance(second, OperationRefused)
        await ledger.release(holds[1].id)

    asyncio.run(scene())
    assert Entry.objects.filter(kind="charge").count() == 1


def test_a_group_applies_its_operations_in_order_of_arrival(team: Team) -> None:
    ids = [uuid4() for _ in range(3)]
    attributions = [Attribution(f"run-{number}", "p", "") for number in range(3)]
    operations: list[Operation[object]] = [
        Take(ids[0], team.pk, 10 * DOLLAR, attributions[0], 60),
        Take(ids[1], team.pk, DOLLAR, attributions[1], 60),
        Settle(ids[0], 2 * DOLLAR, "1", None),
        Take(ids[2], team.pk, 8 * DOLLAR, attributions[2], 60),
    ]
    kinds = [type(outcome) for outcome in commit(operations).outcomes]
    assert kinds == [Held, InsufficientCredits, Settlement, Held]


def test_a_group_waits_for_another_writer_and_loses_nothing(team: Team, account: Account) -> None:
    locked = threading.Event()

    def occupy() -> None:
        with transaction.atomic():
            Account.objects.select_for_update().get(pk=team.pk)
            locked.set()
            time.sleep(0.5)
        connection.close()

    async def scene() -> list[object]:
        return list(await outcomes(take(team.pk, DOLLAR) for _ in range(10)))

    occupier = threading.Thread(target=occupy)
    occupier.start()
    locked.wait(10)
    assert all(isinstance(outcome, Held) for outcome in asyncio.run(scene()))
    occupier.join()


def test_groups_over_many_accounts_in_any_order_do_not_deadlock(team: Team) -> None:
    teams = [Team.objects.create(slug=f"team-{number}") for number in range(6)]
    for other in teams:
        ledger.grant(other.pk, DOLLAR, reason="pilot", actor="a")

    def group(start: int) -> None:
        for number in range(20):
            ordered = teams[start:] + teams[:start]
            operations: list[Operation[object]] = [
                Take(uuid4(), other.pk, 1, Attribution(uuid4().hex, "p", ""), 60) for other in reversed(ordered)
            ]
            assert all(isinstance(outcome, Held) for outcome in commit(operations).outcomes), number
        connection.close()

    async def scene() -> None:
        await asyncio.gather(*(asyncio.to_thread(group, start) for start in range(3)))

    asyncio.run(scene())
    assert list(Account.objects.filter(team__in=teams).values_list("held_nano", flat=True)) == [60] * 6
