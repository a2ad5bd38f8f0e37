"""Operations with a callback, for who has neither a task nor a future for each step."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from accounts.models import Team
from credits import ledger
from credits.errors import HoldEnded, InsufficientCredits, LedgerError, OperationRefused
from credits.ledger import Held, Settlement
from credits.models import Account, Hold
from tests.credits.scenes import DOLLAR, take
from tests.patience import eventually

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


def prepared(team: Team, amount_nano: int) -> ledger.Take:
    """Return the operation that opens a hold for a run of its own."""
    run = uuid4().hex
    return ledger.prepare_hold(team.pk, amount_nano, amount_nano, run=run, project="research", key="k1", seconds=60)


def submitted(operations: list[Any]) -> list[Any]:
    """Submit the operations in one turn of a loop, and return their outcomes in the order in which they came."""

    async def scene() -> list[Any]:
        loop, outcomes, ended = asyncio.get_running_loop(), [], asyncio.Event()

        def on_done(outcome: object) -> None:
            outcomes.append(outcome)
            if len(outcomes) == len(operations):
                ended.set()

        for operation in operations:
            ledger.submit(operation, loop, on_done)
        await ended.wait()
        return outcomes

    return asyncio.run(scene())


def test_a_run_can_go_from_hold_to_settlement_by_callbacks_alone(team: Team, account: Account) -> None:
    async def scene() -> Settlement:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Settlement] = loop.create_future()

        def extended(held: Held) -> None:
            assert held.amount_nano == 3 * DOLLAR
            ledger.submit(ledger.prepare_settlement(held.id, DOLLAR, price="1"), loop, ended.set_result)

        def taken(held: Held) -> None:
            ledger.submit(ledger.prepare_extension(held.id, DOLLAR, seconds=60), loop, extended)

        ledger.submit(prepared(team, 2 * DOLLAR), loop, taken)
        return await ended

    settlement = asyncio.run(scene())
    assert (settlement.charged_nano, settlement.released_nano) == (DOLLAR, 2 * DOLLAR)
    account.refresh_from_db()
    assert (account.balance_nano, account.held_nano) == (9 * DOLLAR, 0)


def test_what_one_turn_submits_is_applied_in_order_and_each_hears_its_own_outcome(team: Team) -> None:
    whole, too_much = prepared(team, 10 * DOLLAR), prepared(team, 1)
    held, refused, settled, again = submitted(
        [
            whole,
            too_much,
            ledger.prepare_settlement(whole.new_id, 5, price="1"),
            ledger.prepare_settlement(whole.new_id, 5, price="1"),
        ]
    )
    assert isinstance(held, Held)
    assert isinstance(refused, InsufficientCredits)
    assert settled.charged_nano == 5
    assert isinstance(again, HoldEnded)


def test_a_callback_that_fails_keeps_nothing_from_the_others(team: Team, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> Held:
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[Held] = loop.create_future()
        ledger.submit(prepared(team, 1), loop, lambda outcome: outcome.there_is_no_such_thing)
        ledger.submit(prepared(team, 2), loop, heard.set_result)
        return await heard

    assert asyncio.run(scene()).amount_nano == 2
    assert "The outcome of Take was not taken" in caplog.text


def test_more_than_a_group_holds_is_committed_all_the_same(team: Team) -> None:
    outcomes = submitted([prepared(team, 1) for _ in range(600)])
    assert all(isinstance(outcome, Held) for outcome in outcomes)
    assert Hold.objects.filter(state=Hold.State.OPEN).count() == 600


def test_nobody_needs_to_hear(team: Team, account: Account) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        ledger.submit(prepared(team, DOLLAR), loop, None)

    asyncio.run(scene())
    ledger.close()
    account.refresh_from_db()
    assert account.held_nano == DOLLAR


@pytest.mark.parametrize(
    "prepare",
    [
        lambda: ledger.prepare_hold(1, -1, 1, run="r", project="p", key="", seconds=1),
        lambda: ledger.prepare_hold(1, 2, 1, run="r", project="p", key="", seconds=1),
        lambda: ledger.prepare_hold(1, 1, 1, run="r" * 65, project="p", key="", seconds=1),
        lambda: ledger.prepare_hold(1, 1, 1, run="r", project="p", key="", seconds=float("nan")),
        lambda: ledger.prepare_extension(uuid4(), -1, seconds=1),
        lambda: ledger.prepare_settlement(uuid4(), 1.5, price="1"),  # type: ignore[arg-type]
        lambda: ledger.prepare_settlement(uuid4(), 1, price="a\nb"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_it_is_submitted(prepare: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        prepare()


def test_a_row_that_the_database_refuses_is_an_outcome(team: Team) -> None:
    held = asyncio.run(take(team.pk, DOLLAR))
    write = ledger.Write("INSERT INTO nowhere (a) VALUES (%s)", (1,))
    (outcome,) = submitted([ledger.prepare_settlement(held.id, 1, price="1", write=write)])
    assert isinstance(outcome, OperationRefused)
    assert isinstance(outcome, LedgerError)


async def test_a_taker_whose_loop_ends_with_its_turn_leaves_no_hold(team: Team) -> None:
    def leave() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(take(team.pk, DOLLAR))
        loop.call_soon(loop.stop)
        loop.run_forever()
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.close()

    await asyncio.to_thread(leave)

    async def is_free() -> bool:
        return await ledger.atouch(team.pk) == 10 * DOLLAR

    await eventually(is_free)
