import asyncio
import math

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from accounts.models import Team
from credits.budgets import limits
from credits.errors import InvalidAmount, InvalidBudget, UnknownAccount
from credits.models import Budget
from credits.money import MAX_AMOUNT_NANO
from tests.credits.scenes import take

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("limit", [-1, 1.0, True, math.nan, math.inf, None, "1", MAX_AMOUNT_NANO + 1, 2**63])
def test_a_budget_of_no_true_amount_is_refused(team: Team, limit: int) -> None:
    with pytest.raises(InvalidAmount):
        limits.set_budget(team.pk, scope="team", period="day", limit_nano=limit)


@pytest.mark.parametrize(
    ("scope", "reference", "period", "percents"),
    [
        ("galaxy", "", "day", [50]),
        ("team", "", "century", [50]),
        ("team", "a", "day", [50]),
        ("key", "", "day", [50]),
        ("key", "a\x00b", "day", [50]),
        ("key", "k" * 65, "day", [50]),
        ("team", "", "day", [0]),
        ("team", "", "day", [101]),
        ("team", "", "day", [-5]),
        ("team", "", "day", [math.nan]),
        ("team", "", "day", [1.5]),
        ("team", "", "day", range(1, 101)),
    ],
)
def test_a_budget_that_cannot_be_meant_is_refused(
    team: Team, scope: str, reference: str, period: str, percents: list[int]
) -> None:
    with pytest.raises(InvalidBudget):
        limits.set_budget(
            team.pk, scope=scope, reference=reference, period=period, limit_nano=1, alert_percents=percents
        )
    assert not Budget.objects.exists()


def test_a_team_that_does_not_exist_has_no_budget(team: Team) -> None:
    with pytest.raises(UnknownAccount):
        limits.set_budget(999_999, scope="team", period="day", limit_nano=1)


@pytest.mark.parametrize(
    "change",
    [
        "limit_nano = -1",
        "limit_nano = 1000000000000000001",
        "limit_nano = 9223372036854775807 + 1",
        "limit_nano = 'NaN'",
        "limit_nano = NULL",
        "spent_nano = -1",
        "held_nano = -1",
        "held_nano = 1000000000000000001",
        "period = 'century'",
        "scope = 'galaxy'",
        "scope = 'key'",
        "reference = 'a'",
        "origin = 'luck'",
        "alert_percents = '0'",
        "alert_percents = '50,101'",
        "alert_percents = 'x'",
    ],
)
def test_the_database_itself_refuses_an_impossible_budget(team: Team, change: str) -> None:
    limits.set_budget(team.pk, scope="team", period="day", limit_nano=1)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE credits_budget SET {change}")


def test_no_column_keeps_a_part_of_a_nano_credit(team: Team) -> None:
    limits.set_budget(team.pk, scope="team", period="day", limit_nano=1)
    for table, column in (("budget", "limit_nano"), ("account", "balance_nano"), ("hold", "amount_nano")):
        asyncio.run(take(team.pk, 0))
        with transaction.atomic():
            try:
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute(f"UPDATE credits_{table} SET {column} = {column} + 0.25")
            except DatabaseError:
                assert connection.vendor == "sqlite"
            # PostgreSQL rounds to its column's type.
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT count(*) FROM credits_{table} WHERE {column} <> CAST({column} AS bigint)")
                assert cursor.fetchone() == (0,)


@pytest.mark.parametrize("limit", [-1, MAX_AMOUNT_NANO + 1, math.nan, "x", None])
def test_the_admin_panel_refuses_an_impossible_budget(team: Team, limit: int) -> None:
    budget = Budget(account_id=team.pk, scope="team", period="day", limit_nano=limit, window_start=timezone.now())
    with pytest.raises(ValidationError):
        budget.full_clean()
