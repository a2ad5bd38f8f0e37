import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DEFAULT_DB_ALIAS, connection
from django.utils import timezone

from accounts.models import Team
from credits import ledger
from credits.budgets import limits, rows
from credits.errors import BudgetLimit, InsufficientCredits, InvalidAmount, UnknownBudget
from credits.ledger import audit, triggers
from credits.ledger.hashing import entry_hash
from credits.models import Account, Budget, Entry
from credits.money import MAX_AMOUNT_NANO
from tests.credits.scenes import DOLLAR, outcomes, spend, take

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]

# ``take`` spends for this project and this key.
PROJECT, KEY = "research", "k1"


def _refusal(account_id: int, amount_nano: int) -> InsufficientCredits:
    (refusal,) = asyncio.run(outcomes([take(account_id, amount_nano)]))
    assert isinstance(refusal, InsufficientCredits)
    return refusal


@pytest.mark.parametrize(("scope", "reference"), [("team", ""), ("project", PROJECT), ("key", KEY)])
def test_a_budget_refuses_what_exceeds_it_and_says_which_it_is(team: Team, scope: str, reference: str) -> None:
    limits.set_budget(team.pk, scope=scope, reference=reference, period="total", limit_nano=2 * DOLLAR)
    refusal = _refusal(team.pk, 3 * DOLLAR)
    assert refusal.refused_by == BudgetLimit(scope, reference, "total", 2 * DOLLAR, None)
    assert f"the total budget of the {scope} {reference}".strip() in str(refusal)
    assert (refusal.available_nano, refusal.balance_nano) == (2 * DOLLAR, 10 * DOLLAR)
    assert not refusal.is_blocked


def test_the_balance_is_named_where_it_is_the_balance_that_refuses(team: Team) -> None:
    limits.set_budget(team.pk, scope="team", period="day", limit_nano=20 * DOLLAR)
    assert _refusal(team.pk, 11 * DOLLAR).refused_by == "balance"


def test_the_tightest_of_several_budgets_wins(team: Team) -> None:
    for scope, reference, dollars in (("team", "", 4), ("project", PROJECT, 2), ("key", KEY, 3), ("key", "k2", 1)):
        limits.set_budget(team.pk, scope=scope, reference=reference, period="total", limit_nano=dollars * DOLLAR)
    assert asyncio.run(take(team.pk, 2 * DOLLAR)).amount_nano == 2 * DOLLAR
    refused_by = _refusal(team.pk, 1).refused_by
    assert isinstance(refused_by, BudgetLimit)
    assert refused_by.scope == "project"


def test_other_projects_and_keys_do_not_count_in_a_budget(team: Team) -> None:
    limits.set_budget(team.pk, scope="project", reference="another", period="total", limit_nano=0)
    limits.set_budget(team.pk, scope="key", reference=PROJECT, period="total", limit_nano=0)
    limits.set_budget(team.pk, scope="project", reference=KEY, period="total", limit_nano=0)
    assert spend(team.pk, DOLLAR).charged_nano == DOLLAR


def test_a_budget_that_other_holds_use_is_told_from_one_that_is_spent(team: Team) -> None:
    limits.set_budget(team.pk, scope="key", reference=KEY, period="total", limit_nano=2 * DOLLAR)

    async def scene() -> None:
        held = await take(team.pk, 2 * DOLLAR)
        with pytest.raises(InsufficientCredits) as blocked:
            await take(team.pk, DOLLAR)
        assert blocked.value.is_blocked
        waiting = asyncio.create_task(take(team.pk, DOLLAR, wait_seconds=30))
        await asyncio.sleep(0.05)
        await ledger.settle(held.id, DOLLAR, price="1")
        await ledger.settle((await waiting).id, DOLLAR, price="1")
        with pytest.raises(InsufficientCredits) as spent:
            await take(team.pk, DOLLAR, wait_seconds=30)
        assert not spent.value.is_blocked

    asyncio.run(scene())


def test_a_budget_that_refuses_for_good_is_named_before_one_that_is_only_in_use(team: Team) -> None:
    limits.set_budget(team.pk, scope="team", period="total", limit_nano=5 * DOLLAR)
    limits.set_budget(team.pk, scope="key", reference=KEY, period="total", limit_nano=DOLLAR)

    async def others() -> None:
        await ledger.hold(team.pk, 5 * DOLLAR, run="r", project="p", key="k2", seconds=60)

    asyncio.run(others())
    refusal = _refusal(team.pk, 2 * DOLLAR)
    assert isinstance(refusal.refused_by, BudgetLimit)
    assert (refusal.refused_by.scope, refusal.is_blocked, refusal.available_nano) == ("key", False, 0)


def test_what_was_spent_and_held_before_a_budget_was_made_counts_in_it(team: Team) -> None:
    spend(team.pk, 3 * DOLLAR)
    asyncio.run(take(team.pk, DOLLAR))
    ledger.correct(team.pk, -DOLLAR, reason="no charge", actor="a")
    budget = limits.set_budget(team.pk, scope="key", reference=KEY, period="month", limit_nano=2 * DOLLAR)
    assert (budget.spent_nano, budget.held_nano, budget.available_nano) == (3 * DOLLAR, DOLLAR, 0)
    assert _refusal(team.pk, 1).available_nano == 0
    assert asyncio.run(take(team.pk, 0)).amount_nano == 0


def test_a_budget_lowered_below_an_open_hold_lets_it_charge_what_it_set_aside(team: Team) -> None:
    limits.set_budget(team.pk, scope="team", period="day", limit_nano=5 * DOLLAR)

    async def scene() -> ledger.Settlement:
        held = await take(team.pk, 4 * DOLLAR)
        await asyncio.to_thread(_lower, team.pk)
        with pytest.raises(InsufficientCredits):
            await ledger.extend(held.id, 1, seconds=60)
        return await ledger.settle(held.id, 5 * DOLLAR, price="1")

    settlement = asyncio.run(scene())
    assert (settlement.charged_nano, settlement.lost_nano) == (4 * DOLLAR, DOLLAR)
    assert Budget.objects.get().spent_nano == 4 * DOLLAR


def _lower(account_id: int) -> None:
    limits.set_budget(account_id, scope="team", period="day", limit_nano=DOLLAR)
    connection.close()


def test_an_expired_hold_charges_at_most_what_the_budget_has_left(team: Team) -> None:
    limits.set_budget(team.pk, scope="key", reference=KEY, period="total", limit_nano=3 * DOLLAR)

    async def scene() -> ledger.Settlement:
        expired = await take(team.pk, 3 * DOLLAR, seconds=0.01)
        await asyncio.sleep(0.03)
        await take(team.pk, 2 * DOLLAR)
        return await ledger.settle(expired.id, 3 * DOLLAR, price="1")

    settlement = asyncio.run(scene())
    assert (settlement.charged_nano, settlement.lost_nano) == (DOLLAR, 2 * DOLLAR)


def test_a_refused_extension_leaves_the_hold_as_it_was(team: Team) -> None:
    limits.set_budget(team.pk, scope="project", reference=PROJECT, period="day", limit_nano=3 * DOLLAR)

    async def scene() -> None:
        held = await take(team.pk, 2 * DOLLAR, seconds=60)
        with pytest.raises(InsufficientCredits) as refusal:
            await ledger.extend(held.id, 2 * DOLLAR, seconds=600)
        assert (refusal.value.available_nano, refusal.value.needed_nano) == (3 * DOLLAR, 4 * DOLLAR)
        assert await ledger.extend(held.id, 0, seconds=1) == held
        grown = await ledger.extend(held.id, 2 * DOLLAR, seconds=60, minimum_nano=DOLLAR)
        assert grown.amount_nano == 3 * DOLLAR

    asyncio.run(scene())
    budget = Budget.objects.get()
    assert (budget.held_nano, budget.spent_nano) == (3 * DOLLAR, 0)


def test_a_hold_takes_as_much_as_there_is_between_its_bounds(team: Team) -> None:
    async def up_to(minimum_nano: int, maximum_nano: int, run: str) -> ledger.Held:
        return await ledger.take_up_to(
            team.pk, minimum_nano, maximum_nano, run=run, project=PROJECT, key=KEY, seconds=60
        )

    async def scene() -> None:
        assert (await up_to(DOLLAR, 4 * DOLLAR, "a")).amount_nano == 4 * DOLLAR
        assert (await up_to(DOLLAR, 40 * DOLLAR, "b")).amount_nano == 6 * DOLLAR
        with pytest.raises(InsufficientCredits) as refusal:
            await up_to(1, 40 * DOLLAR, "c")
        assert (refusal.value.needed_nano, refusal.value.is_blocked) == (1, True)
        for bounds in ((2, 1), (-1, 1), (0, MAX_AMOUNT_NANO + 1)):
            with pytest.raises(InvalidAmount):
                await up_to(*bounds, "d")

    asyncio.run(scene())


@pytest.mark.parametrize("period", ["day", "month"])
def test_a_new_window_begins_with_nothing_spent_and_keeps_what_is_held(team: Team, period: str) -> None:
    limits.set_budget(team.pk, scope="team", period=period, limit_nano=5 * DOLLAR)
    spend(team.pk, 3 * DOLLAR)
    asyncio.run(take(team.pk, DOLLAR))
    assert _refusal(team.pk, 2 * DOLLAR).available_nano == DOLLAR
    _live_in_the_last_window(period)
    assert audit.check(team.pk) == []
    refusal = _refusal(team.pk, 5 * DOLLAR)
    assert (refusal.available_nano, refusal.is_blocked) == (4 * DOLLAR, True)
    budget = Budget.objects.get()
    assert (budget.spent_nano, budget.held_nano) == (0, DOLLAR)
    assert budget.window_start == rows.window_start(period, timezone.now())
    assert isinstance(refusal.refused_by, BudgetLimit)
    assert refusal.refused_by.resets_at == rows.window_end(period, budget.window_start)


def _live_in_the_last_window(period: str) -> None:
    """Make it so that all was charged in the last moment of the last window; the entries' chain is put right too."""
    past = rows.window_start(period, timezone.now()) - timedelta(seconds=1)
    triggers.drop(DEFAULT_DB_ALIAS)
    previous = ""
    for entry in Entry.objects.order_by("sequence"):
        Entry.objects.filter(pk=entry.pk).update(created_at=past, previous_hash=previous)
        (record,) = (record for record in audit.entries(entry.account_id) if record.sequence == entry.sequence)
        previous = entry_hash(record)
        Entry.objects.filter(pk=entry.pk).update(hash=previous)
    triggers.create(DEFAULT_DB_ALIAS)
    Account.objects.update(entry_hash=previous)
    Budget.objects.update(window_start=rows.window_start(period, past))


def test_windows_begin_at_midnight_and_on_the_first_in_utc() -> None:
    now = datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC)
    assert rows.window_start("day", now) == datetime(2028, 2, 29, tzinfo=UTC)
    assert rows.window_start("month", now) == datetime(2028, 2, 1, tzinfo=UTC)
    assert rows.window_end("day", datetime(2028, 2, 29, tzinfo=UTC)) == datetime(2028, 3, 1, tzinfo=UTC)
    assert rows.window_end("month", datetime(2027, 12, 1, tzinfo=UTC)) == datetime(2028, 1, 1, tzinfo=UTC)
    assert rows.window_end("total", rows.window_start("total", now)) is None


def test_a_window_that_has_begun_goes_on_if_the_clock_is_set_back(team: Team) -> None:
    limits.set_budget(team.pk, scope="team", period="day", limit_nano=5 * DOLLAR)
    tomorrow = rows.window_start("day", timezone.now()) + timedelta(days=1)
    Budget.objects.update(window_start=tomorrow)
    spend(team.pk, 3 * DOLLAR)
    budget = Budget.objects.get()
    assert (budget.window_start, budget.spent_nano) == (tomorrow, 3 * DOLLAR)
    assert Entry.objects.get(kind="charge").created_at == tomorrow


def test_a_removed_budget_refuses_nothing_any_more(team: Team) -> None:
    budget = limits.set_budget(team.pk, scope="team", period="day", limit_nano=0)
    stranger = Team.objects.create(slug="strangers")
    with pytest.raises(UnknownBudget):
        limits.remove_budget(stranger.pk, budget.pk)
    limits.remove_budget(team.pk, budget.pk)
    assert spend(team.pk, DOLLAR).charged_nano == DOLLAR
    with pytest.raises(UnknownBudget):
        limits.remove_budget(team.pk, budget.pk)


def test_setting_a_budget_again_changes_it(team: Team) -> None:
    first = limits.set_budget(team.pk, scope="team", period="day", limit_nano=DOLLAR)
    spend(team.pk, DOLLAR)
    again = limits.set_budget(team.pk, scope="team", period="day", limit_nano=3 * DOLLAR, alert_percents=[75])
    assert (again.pk, again.spent_nano, again.alert_percents) == (first.pk, DOLLAR, "75")
    assert spend(team.pk, DOLLAR).charged_nano == DOLLAR


def test_a_budget_that_does_not_add_up_is_named(team: Team) -> None:
    budget = limits.set_budget(team.pk, scope="key", reference=KEY, period="total", limit_nano=5 * DOLLAR)
    spend(team.pk, DOLLAR)
    Budget.objects.update(spent_nano=7, held_nano=8)
    name = f"account {team.pk}: the total budget of key k1"
    assert audit.check(team.pk) == [
        f"{name} says that 7 was spent, but its window's charges add up to {DOLLAR}",
        f"{name} holds 8, but its open holds add up to 0",
    ]
    limits.remove_budget(team.pk, budget.pk)
