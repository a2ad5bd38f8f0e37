import asyncio

import pytest

from accounts.models import Project, Team
from credits import ledger
from credits.errors import HoldEnded, InvalidAmount
from credits.models import Account, Entry, Hold
from tests.credits.scenes import DOLLAR, outcomes, take

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]

PROJECT = "INSERT INTO accounts_project (team_id, slug, created_at) VALUES (%s, %s, %s)"


def test_settling_charges_the_cost_and_gives_the_rest_back(team: Team, account: Account) -> None:
    async def scene() -> ledger.Settlement:
        held = await take(team.pk, 3 * DOLLAR)
        return await ledger.settle(held.id, DOLLAR, price="v1")

    settlement = asyncio.run(scene())
    assert settlement == ledger.Settlement(
        charged_nano=DOLLAR,
        released_nano=2 * DOLLAR,
        lost_nano=0,
        balance_nano=9 * DOLLAR,
        available_nano=9 * DOLLAR,
        sequence=2,
    )
    entry = Entry.objects.get(kind="charge")
    hold = Hold.objects.get()
    assert (entry.amount_nano, entry.run, entry.price) == (-DOLLAR, hold.run, "v1")
    assert (entry.project, entry.key, entry.balance_after_nano) == ("research", "k1", 9 * DOLLAR)
    assert (hold.state, hold.amount_nano, hold.ended_at) == ("settled", 3 * DOLLAR, entry.created_at)


def test_a_cost_of_nothing_releases_the_hold_without_an_entry(team: Team) -> None:
    async def scene() -> ledger.Settlement:
        return await ledger.settle((await take(team.pk, 3 * DOLLAR)).id, 0, price="v1")

    settlement = asyncio.run(scene())
    assert (settlement.charged_nano, settlement.released_nano, settlement.sequence) == (0, 3 * DOLLAR, None)
    assert Hold.objects.get().state == "released"
    assert not Entry.objects.filter(kind="charge").exists()


def test_a_cost_above_the_hold_takes_what_is_available_and_records_the_loss(team: Team) -> None:
    async def scene() -> ledger.Settlement:
        held = await take(team.pk, 3 * DOLLAR)
        await take(team.pk, 5 * DOLLAR)
        return await ledger.settle(held.id, 7 * DOLLAR, price="v1")

    settlement = asyncio.run(scene())
    assert (settlement.charged_nano, settlement.lost_nano) == (5 * DOLLAR, 2 * DOLLAR)
    assert (settlement.balance_nano, settlement.available_nano, settlement.released_nano) == (5 * DOLLAR, 0, 0)
    assert Entry.objects.get(kind="charge").lost_nano == 2 * DOLLAR


def test_settling_an_expired_hold_takes_again_what_is_available(team: Team) -> None:
    async def scene() -> ledger.Settlement:
        held = await take(team.pk, 6 * DOLLAR, seconds=0.05)
        await asyncio.sleep(0.1)
        await take(team.pk, 8 * DOLLAR)
        return await ledger.settle(held.id, 5 * DOLLAR, price="v1")

    settlement = asyncio.run(scene())
    assert (settlement.charged_nano, settlement.lost_nano, settlement.released_nano) == (2 * DOLLAR, 3 * DOLLAR, 0)
    assert settlement.balance_nano == 8 * DOLLAR


def test_an_expired_hold_with_nothing_left_becomes_a_loss_not_a_debt(team: Team, account: Account) -> None:
    async def scene() -> ledger.Settlement:
        held = await take(team.pk, 6 * DOLLAR, seconds=0.05)
        await asyncio.sleep(0.1)
        await ledger.settle((await take(team.pk, 10 * DOLLAR)).id, 10 * DOLLAR, price="v1")
        return await ledger.settle(held.id, 5 * DOLLAR, price="v1")

    settlement = asyncio.run(scene())
    assert (settlement.charged_nano, settlement.lost_nano, settlement.balance_nano) == (0, 5 * DOLLAR, 0)


def test_settling_twice_charges_once(team: Team, account: Account) -> None:
    async def scene() -> list[object]:
        held = await take(team.pk, DOLLAR)
        return list(await outcomes(ledger.settle(held.id, 500, price="v1") for _ in range(20)))

    settled = asyncio.run(scene())
    assert sum(isinstance(outcome, ledger.Settlement) for outcome in settled) == 1
    assert sum(isinstance(outcome, HoldEnded) for outcome in settled) == 19
    account.refresh_from_db()
    assert account.balance_nano == 10 * DOLLAR - 500


def test_a_settlement_and_a_release_in_the_same_instant_end_the_hold_once(team: Team, account: Account) -> None:
    async def scene() -> int:
        charged = 0
        for number in range(30):
            held = await take(team.pk, DOLLAR)
            doors = [ledger.settle(held.id, 7, price="v1"), ledger.release(held.id)]
            ended = await outcomes(reversed(doors) if number % 2 else doors)
            (settlement,) = (outcome for outcome in ended if isinstance(outcome, ledger.Settlement))
            assert sum(isinstance(outcome, HoldEnded) for outcome in ended) == 1
            charged += settlement.charged_nano
        return charged

    charged = asyncio.run(scene())
    account.refresh_from_db()
    assert (account.balance_nano, account.held_nano) == (10 * DOLLAR - charged, 0)


def test_a_settlement_happens_even_if_its_caller_is_cancelled(team: Team) -> None:
    async def scene() -> None:
        held = await take(team.pk, DOLLAR)
        caller = asyncio.create_task(ledger.settle(held.id, 500, price="v1"))
        await asyncio.sleep(0)
        caller.cancel()
        await outcomes([caller])

    asyncio.run(scene())
    ledger.close()
    assert Entry.objects.get(kind="charge").amount_nano == -500


def test_the_callers_row_is_written_with_the_settlement_and_only_then(team: Team) -> None:
    async def scene() -> None:
        held = await take(team.pk, DOLLAR)
        for slug in ("first", "second"):
            write = ledger.Write(PROJECT, (team.pk, slug, held.expires_at))
            await outcomes([ledger.settle(held.id, 500, price="v1", write=write)])
        released = await take(team.pk, DOLLAR)
        await ledger.release(released.id, write=ledger.Write(PROJECT, (team.pk, "third", held.expires_at)))

    asyncio.run(scene())
    assert list(Project.objects.order_by("slug").values_list("slug", flat=True)) == ["first", "third"]
    assert Project.objects.get(slug="first").created_at == Hold.objects.get(state="settled").expires_at


@pytest.mark.parametrize("cost", [-1, 0.5, True, 10**18 + 1])
def test_a_cost_that_cannot_be_meant_is_refused_and_the_hold_stays_open(team: Team, cost: int) -> None:
    async def scene() -> None:
        held = await take(team.pk, DOLLAR)
        with pytest.raises(InvalidAmount):
            await ledger.settle(held.id, cost, price="v1")

    asyncio.run(scene())
    assert Hold.objects.get().state == "open"
