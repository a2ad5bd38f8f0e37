"""Settlements while the database takes no writes: kept on the disk, told within two seconds, charged once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts.models import Team
from credits import ledger
from credits.errors import LedgerUnavailable, SettlementJournaled
from credits.ledger.journal_file import JournalFile
from credits.models import Account, Entry, Hold
from proofs.outage import taking_no_writes
from tests.credits.scenes import DOLLAR, outcomes, take
from tests.credits.unwritable import Unwritable, unwritable
from tests.patience import PATIENCE_SECONDS, Stopwatch, eventually

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


@contextmanager
def unwritable_with_journal(folder: Path) -> Iterator[Unwritable]:
    """Keep a journal while the database takes no writes."""
    with unwritable() as disk:
        ledger.keep_journal(folder)
        yield disk


def row(name: str) -> ledger.Write:
    """Return a row of the caller's own, with every kind of value."""
    session = Session._meta.db_table
    return ledger.Write(
        f"INSERT INTO {session} (session_key, session_data, expire_date) VALUES (%s, %s, %s)",
        (name, "data", timezone.now()),
    )


def settled_in_vain(hold_id: UUID, cost_nano: int, write: ledger.Write | None = None) -> None:
    """Settle while that cannot be written, and hear that it is kept."""

    async def scene() -> None:
        with pytest.raises(SettlementJournaled):
            await ledger.settle(hold_id, cost_nano, price="1", write=write)

    asyncio.run(scene())


def left_behind(folder: Path, settlements: list[ledger.Settle]) -> Path:
    """Write the journal of a process that was killed then."""
    path = folder / "1-dead.journal"
    file = JournalFile.create(path)
    assert all(file.append(settlements))
    file.close(is_done=False)
    return path


def waiting(folder: Path) -> int:
    return ledger.waiting_in_journals(folder).settlements


def test_a_settlement_is_kept_and_charged_once_the_database_takes_writes(
    team: Team, account: Account, tmp_path: Path
) -> None:
    async def is_charged() -> bool:
        return await Entry.objects.filter(account=account, amount_nano=-5).aexists()

    held = asyncio.run(take(team.pk, DOLLAR))
    with unwritable_with_journal(tmp_path) as disk:
        settled_in_vain(held.id, 5, row("kept"))
        assert waiting(tmp_path) == 1
        disk.make_room()
        asyncio.run(eventually(is_charged))
    assert Session.objects.filter(session_key="kept").count() == 1
    account.refresh_from_db()
    assert (account.balance_nano, account.held_nano) == (10 * DOLLAR - 5, 0)
    assert not list(tmp_path.glob("*.journal"))


def test_a_release_is_kept_too_so_that_nobody_is_refused_for_it(team: Team, account: Account, tmp_path: Path) -> None:
    held = asyncio.run(take(team.pk, 10 * DOLLAR))
    ledger.keep_journal(tmp_path)
    with taking_no_writes():
        settled_in_vain(held.id, 0)
    ledger.close()
    account.refresh_from_db()
    assert account.held_nano == 0


def test_a_hold_is_still_refused_while_the_database_takes_no_writes(team: Team, tmp_path: Path) -> None:
    with unwritable_with_journal(tmp_path):
        (refused,) = asyncio.run(outcomes([take(team.pk, DOLLAR)]))
    assert isinstance(refused, LedgerUnavailable)


def test_a_settlement_that_another_connection_holds_up_is_told_within_two_seconds_and_charged_once(
    team: Team, account: Account, tmp_path: Path
) -> None:
    held = asyncio.run(take(team.pk, DOLLAR))
    ledger.keep_journal(tmp_path)
    with taking_no_writes():
        with Stopwatch() as waiting_for_it:
            settled_in_vain(held.id, 5)
        assert waiting_for_it.seconds < 2
        assert waiting(tmp_path) == 1
    ledger.close()
    account.refresh_from_db()
    assert (account.balance_nano, account.held_nano) == (10 * DOLLAR - 5, 0)
    assert not list(tmp_path.glob("*.journal"))


def test_what_a_killed_process_left_is_settled_once_however_often_it_is_found(
    team: Team, account: Account, tmp_path: Path
) -> None:
    holds = [asyncio.run(take(team.pk, DOLLAR)) for _ in range(3)]
    settlements = [ledger.prepare_settlement(held.id, 5, price="1", write=row(held.id.hex)) for held in holds]
    asyncio.run(ledger.settle(holds[0].id, 7, price="1"))
    for _ in range(2):
        left_behind(tmp_path, settlements)
        ledger.replay_left_behind(tmp_path)
        assert not list(tmp_path.glob("*.journal"))
    account.refresh_from_db()
    assert (account.balance_nano, account.held_nano) == (10 * DOLLAR - 7 - 5 - 5, 0)
    assert Session.objects.count() == 2


def test_a_row_that_the_database_refuses_does_not_take_the_charge_with_it(
    team: Team, account: Account, tmp_path: Path
) -> None:
    held = asyncio.run(take(team.pk, DOLLAR))
    bad = ledger.Write("INSERT INTO nowhere VALUES (%s)", (uuid4(),))
    left_behind(tmp_path, [ledger.prepare_settlement(held.id, 5, price="1", write=bad)])
    assert ledger.replay_left_behind(tmp_path) == 1
    account.refresh_from_db()
    assert account.balance_nano == 10 * DOLLAR - 5


def test_the_journal_of_a_living_process_is_left_to_it(team: Team, tmp_path: Path) -> None:
    held = asyncio.run(take(team.pk, DOLLAR))
    file = JournalFile.create(tmp_path / "1-alive.journal")
    file.append([ledger.prepare_settlement(held.id, 5, price="1")])
    assert ledger.replay_left_behind(tmp_path) == 0
    file.close(is_done=False)
    assert ledger.replay_left_behind(tmp_path) == 1


def test_a_journal_stays_while_the_database_does_not_take_it(team: Team, tmp_path: Path) -> None:
    held = asyncio.run(take(team.pk, DOLLAR))
    with unwritable_with_journal(tmp_path) as disk:
        settled_in_vain(held.id, 5)
        tries = disk.tries
        asyncio.run(eventually(lambda: disk.tries > tries + 1))
        assert waiting(tmp_path) == 1
        assert Hold.objects.get(pk=held.id).state == Hold.State.OPEN
    ledger.replay_left_behind(tmp_path)
    assert Hold.objects.get(pk=held.id).state == Hold.State.SETTLED


def test_several_are_told_at_once_and_all_are_charged(team: Team, account: Account, tmp_path: Path) -> None:
    async def settle_all(holds: list[ledger.Held]) -> list[object]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await outcomes([ledger.settle(held.id, 5, price="1") for held in holds])

    async def all_charged() -> bool:
        return await Entry.objects.filter(account=account, amount_nano=-5).acount() == 300

    holds = asyncio.run(take_many(team, 300))
    with unwritable_with_journal(tmp_path) as disk:
        assert {type(outcome) for outcome in asyncio.run(settle_all(holds))} == {SettlementJournaled}
        disk.make_room()
        asyncio.run(eventually(all_charged))


async def take_many(team: Team, count: int) -> list[ledger.Held]:
    return list(await asyncio.gather(*(take(team.pk, 10) for _ in range(count))))
