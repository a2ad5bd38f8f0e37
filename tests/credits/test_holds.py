import asyncio
import math
import random
from datetime import timedelta
from uuid import uuid4

import pytest

from accounts.models import Team
from credits import ledger
from credits.errors import (
    HoldEnded,
    InsufficientCredits,
    InvalidAmount,
    UnknownAccount,
    UnknownHold,
)
from credits.models import Account, Hold
from tests.credits.scenes import DOLLAR, outcomes, take
from tests.patience import Stopwatch

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


def test_fifty_holds_at_once_on_a_balance_for_ten_let_exactly_ten_through(team: Team, account: Account) -> None:
    async def scene() -> list[object]:
        return list(await outcomes(take(team.pk, DOLLAR) for _ in range(50)))

    taken = asyncio.run(scene())
    assert sum(isinstance(outcome, ledger.Held) for outcome in taken) == 10
    assert sum(isinstance(outcome, InsufficientCredits) for outcome in taken) == 40
    account.refresh_from_db()
    assert (account.balance_nano, account.held_nano, account.available_nano) == (10 * DOLLAR, 10 * DOLLAR, 0)


def test_a_refusal_tells_blocked_by_other_holds_from_too_little(team: Team) -> None:
    async def scene() -> None:
        await take(team.pk, 8 * DOLLAR)
        with pytest.raises(InsufficientCredits) as blocked:
            await take(team.pk, 5 * DOLLAR)
        assert blocked.value.is_blocked
        assert (blocked.value.available_nano, blocked.value.balance_nano) == (2 * DOLLAR, 10 * DOLLAR)
        with pytest.raises(InsufficientCredits) as too_little:
            await take(team.pk, 11 * DOLLAR)
        assert not too_little.value.is_blocked
        assert too_little.value.needed_nano == 11 * DOLLAR

    asyncio.run(scene())


def test_holds_that_wait_for_others_are_all_answered_when_their_costs_fit(team: Team) -> None:
    async def call() -> None:
        held = await take(team.pk, DOLLAR, wait_seconds=30)
        await asyncio.sleep(0.01)
        await ledger.settle(held.id, DOLLAR // 8, price="1")

    async def scene() -> list[object]:
        return list(await outcomes(call() for _ in range(60)))

    assert asyncio.run(scene()) == [None] * 60


def test_a_waiting_hold_starts_at_once_when_another_ends(team: Team) -> None:
    async def scene() -> float:
        first = await take(team.pk, 10 * DOLLAR)
        second = asyncio.create_task(take(team.pk, 10 * DOLLAR, wait_seconds=30))
        await asyncio.sleep(0.1)
        with Stopwatch() as watch:
            await ledger.release(first.id)
            held = await second
        await ledger.release(held.id)
        return watch.seconds

    # Whoever does not hear of it looks again after most of that time, every time.
    assert min(asyncio.run(scene()) for _ in range(5)) < ledger.LOOK_AGAIN_SECONDS / 2


def test_a_waiter_hears_of_a_freed_hold_or_of_none(team: Team) -> None:
    async def scene() -> None:
        held = await take(team.pk, DOLLAR)
        assert not await ledger.freed(team.pk, 0.05)
        waiter = asyncio.create_task(ledger.freed(team.pk, 10))
        await asyncio.sleep(0)
        await ledger.release(held.id)
        assert await waiter

    asyncio.run(scene())


def test_an_expired_hold_is_available_again_without_a_sweeper(team: Team, account: Account) -> None:
    async def scene() -> None:
        await take(team.pk, 10 * DOLLAR, seconds=0.05)
        await asyncio.sleep(0.1)
        await take(team.pk, 10 * DOLLAR)

    asyncio.run(scene())
    assert sorted(Hold.objects.values_list("state", flat=True)) == ["expired", "open"]


def test_an_extension_takes_more_and_lives_longer(team: Team, account: Account) -> None:
    async def scene() -> None:
        held = await take(team.pk, 4 * DOLLAR, seconds=60)
        longer = await ledger.extend(held.id, 5 * DOLLAR, seconds=600)
        assert longer.amount_nano == 9 * DOLLAR
        assert longer.expires_at - held.expires_at > timedelta(seconds=500)
        with pytest.raises(InsufficientCredits) as refusal:
            await ledger.extend(held.id, 2 * DOLLAR, seconds=60)
        assert (refusal.value.available_nano, refusal.value.needed_nano) == (10 * DOLLAR, 11 * DOLLAR)
        assert not refusal.value.is_blocked

    asyncio.run(scene())
    account.refresh_from_db()
    assert account.held_nano == 9 * DOLLAR


def test_an_extension_never_shortens_a_hold(team: Team) -> None:
    async def scene() -> None:
        held = await take(team.pk, DOLLAR, seconds=60)
        assert (await ledger.extend(held.id, 0, seconds=1)).expires_at == held.expires_at

    asyncio.run(scene())


def test_an_ended_hold_cannot_be_extended(team: Team) -> None:
    async def scene() -> None:
        settled, expired = await take(team.pk, DOLLAR), await take(team.pk, DOLLAR, seconds=0.01)
        await ledger.settle(settled.id, 1, price="1")
        await asyncio.sleep(0.05)
        for held, state in ((settled, "settled"), (expired, "expired")):
            with pytest.raises(HoldEnded) as refusal:
                await ledger.extend(held.id, 1, seconds=60)
            assert refusal.value.state == state
        with pytest.raises(UnknownHold):
            await ledger.extend(uuid4(), 1, seconds=60)

    asyncio.run(scene())


def test_a_cancelled_taker_leaves_no_hold(team: Team, account: Account) -> None:
    chance = random.Random(7)

    async def scene() -> int:
        kept = 0
        for _ in range(60):
            takers = [asyncio.create_task(take(team.pk, 1_000)) for _ in range(4)]
            await asyncio.sleep(chance.choice((0, 0.0005, 0.001, 0.002, 0.004)))
            for taker in takers:
                taker.cancel()
            kept += sum(isinstance(outcome, ledger.Held) for outcome in await outcomes(takers))
        return kept

    kept = asyncio.run(scene())
    ledger.close()
    account.refresh_from_db()
    assert account.held_nano == kept * 1_000


def test_a_taker_whose_event_loop_is_gone_leaves_no_hold(team: Team, account: Account) -> None:
    for _ in range(5):
        loop = asyncio.new_event_loop()
        taker = take(team.pk, 1_000)
        loop.call_soon(taker.send, None)
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        ledger.close()
        taker.close()
    ledger.close()
    account.refresh_from_db()
    assert account.held_nano == 0


def test_callers_in_several_event_loops_share_one_writer(team: Team, account: Account) -> None:
    async def scene() -> None:
        await outcomes(take(team.pk, DOLLAR) for _ in range(5))

    async def threads() -> None:
        await asyncio.gather(*(asyncio.to_thread(asyncio.run, scene()) for _ in range(4)))

    asyncio.run(threads())
    account.refresh_from_db()
    assert account.held_nano == 10 * DOLLAR


def test_a_team_without_credits_has_nothing_but_may_run_what_is_free(team: Team) -> None:
    poor = Team.objects.create(slug="poor")

    async def scene() -> None:
        with pytest.raises(InsufficientCredits):
            await take(poor.pk, 1)
        held = await take(poor.pk, 0)
        assert (await ledger.release(held.id)).balance_nano == 0
        with pytest.raises(UnknownAccount):
            await take(999_999, 1)

    asyncio.run(scene())


@pytest.mark.parametrize("amount", [-1, 1.0, True, math.nan, None, "1", 10**18 + 1])
def test_a_hold_of_no_true_amount_is_refused(team: Team, amount: object) -> None:
    with pytest.raises(InvalidAmount):
        asyncio.run(take(team.pk, amount))  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, 10**9])
def test_a_hold_lives_for_a_sane_time(team: Team, seconds: float) -> None:
    with pytest.raises(ValueError, match="a hold lives"):
        asyncio.run(take(team.pk, 1, seconds=seconds))
