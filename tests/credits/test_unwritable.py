"""A disk that is full or read-only: told at once where nothing is lost, waited for where a charge would be."""

import asyncio
from contextlib import suppress

import pytest

from accounts.models import Team
from credits import ledger
from credits.errors import LedgerUnavailable
from credits.models import Account, Hold
from tests.credits.scenes import DOLLAR, outcomes, take
from tests.credits.unwritable import Unwritable, unwritable
from tests.patience import eventually

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


def test_holds_are_refused_at_once_and_one_line_of_the_log_says_why(
    team: Team, caplog: pytest.LogCaptureFixture
) -> None:
    with unwritable() as disk:
        refused = asyncio.run(outcomes_of_three(team))
        tries = disk.tries
    assert [type(outcome) for outcome in refused] == [LedgerUnavailable] * 3
    # Each took one try, and so did that which takes a hold back that might be there.
    assert tries <= 6
    said = [record for record in caplog.records if record.name == "credits.ledger.commit"]
    assert len(said) <= 1, "a minute has one such line, whichever test had it"
    assert not any(record.exc_info for record in said)
    assert not Hold.objects.exists()


async def outcomes_of_three(team: Team) -> list[object]:
    """Take holds one after the other."""
    return [outcome for _ in range(3) for outcome in await outcomes([take(team.pk, DOLLAR)])]


def test_holds_are_taken_again_once_there_is_room(team: Team) -> None:
    async def is_taken() -> bool:
        with suppress(LedgerUnavailable):
            held = await take(team.pk, DOLLAR)
            return held.amount_nano == DOLLAR
        return False

    async def scene() -> None:
        assert not await is_taken()
        disk.make_room()
        await eventually(is_taken)

    with unwritable() as disk:
        asyncio.run(scene())


def test_a_charge_waits_until_there_is_room(team: Team, account: Account) -> None:
    async def scene(disk: Unwritable) -> ledger.Settlement:
        settling = asyncio.create_task(ledger.settle(held.id, 5, price="1"))
        await eventually(lambda: disk.tries > 3)
        assert not settling.done()
        disk.make_room()
        return await settling

    held = asyncio.run(take(team.pk, DOLLAR))
    with unwritable() as disk:
        assert asyncio.run(scene(disk)).charged_nano == 5
    account.refresh_from_db()
    assert account.balance_nano == 10 * DOLLAR - 5
