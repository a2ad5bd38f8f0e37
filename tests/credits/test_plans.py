import asyncio
import math

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection, transaction

from accounts.models import Team
from credits import ledger
from credits.budgets import limits
from credits.errors import (
    BudgetLimit,
    InsufficientCredits,
    InvalidAmount,
    InvalidBudget,
    OperationRefused,
    UnknownAccount,
    UnknownPlan,
)
from credits.ledger import audit
from credits.models import Account, Budget, Entry, MonthlyGrant, Plan
from credits.money import MAX_AMOUNT_NANO
from tests.credits.scenes import DOLLAR, outcomes, take

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


def _free_plan(monthly_cap_nano: int | None = None) -> Plan:
    return limits.save_plan("free", monthly_grant_nano=2 * DOLLAR, monthly_cap_nano=monthly_cap_nano)


def _begin_a_month(account_id: int) -> None:
    """Make it so that the last grant was in another month."""
    Account.objects.filter(pk=account_id).update(granted_month="2020-01")
    MonthlyGrant.objects.update(month="2020-01")


def test_a_plan_gives_its_grant_once_in_a_month_and_names_itself(team: Team, account: Account) -> None:
    plan = _free_plan()
    account = limits.set_plan(team.pk, plan.pk)
    assert account.balance_nano == 12 * DOLLAR
    entry = Entry.objects.get(sequence=2)
    assert (entry.kind, entry.actor, entry.reason) == ("grant", "plan", f"plan free, {account.granted_month}")
    for _ in range(3):
        assert ledger.touch(team.pk) == 12 * DOLLAR
    another = limits.save_plan("pro", monthly_grant_nano=50 * DOLLAR, monthly_cap_nano=None)
    limits.set_plan(team.pk, None)
    assert limits.set_plan(team.pk, another.pk).balance_nano == 12 * DOLLAR


def test_the_first_touch_of_a_month_gives_its_grant_before_all_else(team: Team) -> None:
    limits.set_plan(team.pk, _free_plan().pk)
    _begin_a_month(team.pk)

    async def scene() -> list[object]:
        return list(await outcomes(take(team.pk, DOLLAR) for _ in range(20)))

    taken = asyncio.run(scene())
    assert sum(isinstance(outcome, ledger.Held) for outcome in taken) == 14
    assert Entry.objects.filter(actor="plan").count() == 2
    assert MonthlyGrant.objects.count() == 2


def test_the_database_refuses_a_second_grant_for_a_month(team: Team) -> None:
    limits.set_plan(team.pk, _free_plan().pk)
    Account.objects.update(granted_month="")
    with pytest.raises(OperationRefused):
        ledger.touch(team.pk)
    assert Account.objects.get().balance_nano == 12 * DOLLAR
    Account.objects.update(granted_month=MonthlyGrant.objects.get().month)


def test_the_cap_of_a_plan_is_a_month_budget_of_the_team(team: Team) -> None:
    plan = _free_plan(monthly_cap_nano=3 * DOLLAR)
    limits.set_plan(team.pk, plan.pk)
    limits.set_budget(team.pk, scope="team", period="month", limit_nano=4 * DOLLAR)
    (refusal,) = asyncio.run(outcomes([take(team.pk, 5 * DOLLAR)]))
    assert isinstance(refusal, InsufficientCredits)
    assert isinstance(refusal.refused_by, BudgetLimit)
    assert (refusal.refused_by.period, refusal.refused_by.limit_nano) == ("month", 3 * DOLLAR)
    limits.save_plan("free", monthly_grant_nano=0, monthly_cap_nano=DOLLAR, plan_id=plan.pk)
    assert Budget.objects.get(origin="plan").limit_nano == DOLLAR
    limits.save_plan("free", monthly_grant_nano=0, monthly_cap_nano=None, plan_id=plan.pk)
    assert not Budget.objects.filter(origin="plan").exists()
    limits.save_plan("free", monthly_grant_nano=0, monthly_cap_nano=0, plan_id=plan.pk)
    limits.set_plan(team.pk, None)
    assert list(Budget.objects.values_list("origin", flat=True)) == ["set"]


def test_a_cap_that_is_not_the_plans_is_named(team: Team) -> None:
    plan = _free_plan(monthly_cap_nano=3 * DOLLAR)
    limits.set_plan(team.pk, plan.pk)
    Plan.objects.update(monthly_cap_nano=5)
    assert audit.check(team.pk) == [f"account {team.pk} has the plan's caps [{3 * DOLLAR}], but its plan says [5]"]
    limits.set_plan(team.pk, plan.pk)


def test_a_grant_never_takes_a_balance_beyond_reason(team: Team) -> None:
    ledger.grant(team.pk, MAX_AMOUNT_NANO - 11 * DOLLAR, reason="much", actor="a")
    assert limits.set_plan(team.pk, _free_plan().pk).balance_nano == MAX_AMOUNT_NANO


def test_plans_and_teams_that_do_not_exist_are_refused(team: Team) -> None:
    plan = _free_plan()
    with pytest.raises(UnknownPlan):
        limits.set_plan(team.pk, 999_999)
    with pytest.raises(UnknownPlan):
        limits.save_plan("free", monthly_grant_nano=0, monthly_cap_nano=None, plan_id=999_999)
    with pytest.raises(UnknownAccount):
        limits.set_plan(999_999, plan.pk)


@pytest.mark.parametrize("amount", [-1, 1.0, True, math.nan, math.inf, "5", MAX_AMOUNT_NANO + 1])
def test_a_plan_of_no_true_amount_is_refused(team: Team, amount: int) -> None:
    with pytest.raises(InvalidAmount):
        limits.save_plan("free", monthly_grant_nano=amount, monthly_cap_nano=None)
    with pytest.raises(InvalidAmount):
        limits.save_plan("free", monthly_grant_nano=0, monthly_cap_nano=amount)


@pytest.mark.parametrize("amount", [-1, math.nan, "x", "inf", MAX_AMOUNT_NANO + 1, 2**80])
def test_the_admin_panel_refuses_an_impossible_plan(team: Team, amount: int) -> None:
    with pytest.raises(ValidationError):
        Plan(name="free", monthly_grant_nano=amount).full_clean()
    with pytest.raises(ValidationError):
        Plan(name="free", monthly_cap_nano=amount).full_clean()


@pytest.mark.parametrize("name", ["", " ", "a\nb", "n" * 65, "free"])
def test_a_plan_needs_a_name_of_its_own(team: Team, name: str) -> None:
    _free_plan()
    with pytest.raises(InvalidBudget):
        limits.save_plan(name, monthly_grant_nano=0, monthly_cap_nano=None)


@pytest.mark.parametrize(
    "change",
    ["monthly_grant_nano = -1", "monthly_cap_nano = -1", "monthly_grant_nano = 1000000000000000001", "name = ''"],
)
def test_the_database_itself_refuses_an_impossible_plan(team: Team, change: str) -> None:
    _free_plan()
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE credits_plan SET {change}")


@pytest.mark.parametrize(
    ("kind", "amount", "lost", "balance"),
    [
        ("grant", "0", "0", "5"),
        ("grant", "-1", "0", "5"),
        ("charge", "1", "0", "5"),
        ("correction", "0", "0", "5"),
        ("gift", "1", "0", "5"),
        ("grant", "1000000000000000001", "0", "5"),
        ("grant", "1", "-1", "5"),
        ("grant", "1", "0", "1000000000000000001"),
        ("grant", "'NaN'", "0", "5"),
        ("grant", "9223372036854775807 + 1", "0", "5"),
    ],
)
def test_the_database_itself_refuses_an_impossible_entry(
    team: Team, kind: str, amount: str, lost: str, balance: str
) -> None:
    values = f"{team.pk}, 9, '{kind}', {amount}, {lost}, {balance}, '', '', '', '', '', '', '2026-01-01', '', 'h'"
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO credits_entry (account_id, sequence, kind, amount_nano, lost_nano, balance_after_nano, run, "
            f"price, project, key, actor, reason, created_at, previous_hash, hash) VALUES ({values})"
        )
