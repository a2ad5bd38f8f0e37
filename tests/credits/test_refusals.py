"""Every column of money, of prices and of limits refuses what no amount can be: in Python, and in the database itself.

The columns are found by looking at the models, so a new one without a check fails here.
"""

import asyncio
import math
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, models, transaction
from django.utils import timezone

from accounts.models import Team, User
from credits import ledger
from credits.budgets import limits
from credits.errors import InvalidAmount
from credits.ledger import triggers
from credits.models import Account, Alert, Budget, Entry, Hold, MonthlyGrant, Plan
from credits.models.alerts import MAX_SPENT_NANO
from credits.money import MAX_AMOUNT_NANO
from inference.models import MAX_PRICE_MICROCREDITS_PER_MTOK, Model, Price, Run
from tests.credits.scenes import DOLLAR

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]

ROOMS: Final = ("accounts", "credits", "inference", "api", "playground", "console")
MONEY: Final = re.compile(r"_nano$|microcredits|percent$|^sequence$|^entry_count$|^attempts$")


class Column(NamedTuple):
    """A column that holds an amount."""

    model: type[models.Model]
    field: "models.Field[Any, Any]"

    @property
    def most(self) -> int:
        """The largest amount that can be meant."""
        if "microcredits" in self.field.name:
            return MAX_PRICE_MICROCREDITS_PER_MTOK
        return {"spent_nano": MAX_SPENT_NANO, "reached_nano": MAX_SPENT_NANO, "percent": 100}.get(
            self.field.name, MAX_AMOUNT_NANO
        )

    def __str__(self) -> str:
        return f"{self.model._meta.label}.{self.field.name}"


COLUMNS: Final = [
    Column(model, field)
    for room in apps.get_app_configs()
    if room.name in ROOMS
    for model in room.get_models()
    for field in model._meta.concrete_fields
    if MONEY.search(field.name)
]
MOMENTS: Final = [(Budget, "window_start"), (Price, "starts_at")]


@pytest.fixture
def rows(team: Team) -> Iterator[dict[type[models.Model], models.Model]]:
    """A row of every model that knows money; entries can be changed while the test lasts."""
    now = timezone.now()
    plan = limits.save_plan("free", monthly_grant_nano=DOLLAR, monthly_cap_nano=5 * DOLLAR)
    account = limits.set_plan(team.pk, plan.pk)
    budget = limits.set_budget(team.pk, scope="team", period="day", limit_nano=4 * DOLLAR)
    user, project = User.objects.create(email="ada@example.org"), team.projects.create(slug="research")
    model = Model.objects.create(id="fable/fox", name="Fox", context_tokens=1)
    prices = {column.field.name: 1_000 for column in COLUMNS if column.model is Price}
    # Not started: it may still be changed.
    price = Price.objects.create(model=model, starts_at=now + timedelta(days=1), **prices)
    triggers.drop(DEFAULT_DB_ALIAS)
    yield {
        Plan: plan,
        Account: account,
        Budget: budget,
        Entry: account.entries.get(sequence=1),
        MonthlyGrant: MonthlyGrant.objects.get(),
        Hold: Hold.objects.create(account=account, amount_nano=0, run="r", project="1", created_at=now, expires_at=now),
        Alert: Alert.objects.create(
            account=account,
            budget=budget,
            percent=50,
            window_start=now,
            limit_nano=DOLLAR,
            reached_nano=DOLLAR,
            created_at=now,
        ),
        Price: price,
        Run: Run.objects.create(
            id="r", project=project, user=user, model=model, price=price, started_at=now, ended_at=now, ending="stop"
        ),
    }
    Hold.objects.all().delete()
    triggers.create(DEFAULT_DB_ALIAS)


def test_every_room_was_looked_at_and_every_amount_is_of_the_strict_kind() -> None:
    names = {str(column) for column in COLUMNS}
    assert {"credits.Plan.monthly_cap_nano", "inference.Price.input_microcredits_per_mtok"} <= names
    assert [name for column, name in zip(COLUMNS, map(str, COLUMNS), strict=True) if not _is_strict(column)] == []
    # An integer of the ledger that is no amount would be a new kind of thing: name it here, or check it there.
    loose = [
        f"{model._meta.label}.{field.name}"
        for model in apps.get_app_config("credits").get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, models.IntegerField)
        and not isinstance(field, models.AutoField | models.BigAutoField)
        and not MONEY.search(field.name)
    ]
    assert loose == []


def _is_strict(column: Column) -> bool:
    return type(column.field).__module__ == "credits.fields"


WRITTEN: Final = [
    "-1",
    "-9223372036854775808",
    "9223372036854775807",
    "9223372036854775807 + 1",
    "9223372036854775808",
    "1e30",
    "9e999",
    "-9e999",
    "0.5",
    "'NaN'",
    "'Infinity'",
    "'-Infinity'",
    "'x'",
    "''",
    "x'31'",
    "1/0",
    "NULL",
]


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_the_database_itself_refuses_what_is_no_amount(
    column: Column, rows: dict[type[models.Model], models.Model]
) -> None:
    row = rows[column.model]
    # So that what is refused is refused for its value.
    assert _update(column.model, column.field.name, column.field.name, row)
    for written in [*WRITTEN, str(column.most + 1)]:
        # Without a number is a number of its own where a column may be empty, and SQLite divides by zero to that.
        if column.field.null and (written == "NULL" or (written == "1/0" and connection.vendor == "sqlite")):
            continue
        before = _value(column, row)
        if _update(column.model, column.field.name, written, row):
            # PostgreSQL rounds to its column's type before anyone looks; nothing that is no amount is kept.
            assert (written, connection.vendor) in {("0.5", "postgresql")}
            assert _value(column, row) in (0, 1)
            assert _update(column.model, column.field.name, str(before), row)
        else:
            assert _value(column, row) == before


IMPOSSIBLE: Final = [
    -1,
    True,
    False,
    0.5,
    1.0,
    math.nan,
    math.inf,
    -math.inf,
    2**63,
    -(2**63) - 1,
    2**80,
    Decimal("0.5"),
    Decimal("NaN"),
    Decimal(1),
    "",
    "x",
    "nan",
    "1.0",
    "1_0",
    "\u0661",
    "9" * 30,
    b"1",
    [],
]


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_the_orm_refuses_what_is_no_amount_cleaned_or_not(
    column: Column, rows: dict[type[models.Model], models.Model]
) -> None:
    row, name = rows[column.model], column.field.name
    usual = getattr(row, name)
    row.save(update_fields=[name])
    optional = {field.name for field in row._meta.concrete_fields if field.null} - {"budget", "percent", name}
    row.full_clean(exclude=optional)
    for value in [*IMPOSSIBLE, column.most + 1]:
        setattr(row, name, value)
        if not (column.field.null and value in ("", [])):
            with pytest.raises(ValidationError):
                row.full_clean(exclude=optional)
            setattr(row, name, value)
        with pytest.raises((DatabaseError, OverflowError, ValueError)), transaction.atomic():
            row.save(update_fields=[name])
        setattr(row, name, usual)
    assert _value(column, row) == usual


@pytest.mark.parametrize(("model", "name"), MOMENTS)
@pytest.mark.parametrize("written", ["'1969-12-31 23:59:59'", "'2200-01-01 00:00:00'", "'x'", "'infinity'", "NULL"])
def test_the_database_itself_refuses_a_moment_that_cannot_be_meant(
    model: type[models.Model], name: str, written: str, rows: dict[type[models.Model], models.Model]
) -> None:
    assert _update(model, name, name, rows[model])
    assert not _update(model, name, written, rows[model])


def test_a_price_that_has_started_is_never_changed(rows: dict[type[models.Model], models.Model]) -> None:
    price = rows[Price]
    assert isinstance(price, Price)
    price.starts_at = timezone.now() - timedelta(seconds=1)
    price.save()
    price.output_microcredits_per_mtok += 1
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        price.save()
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        Price.objects.update(starts_at=timezone.now())
    with pytest.raises((DatabaseError, models.ProtectedError)), transaction.atomic():
        price.delete()


def _update(model: type[models.Model], name: str, written: str, row: models.Model) -> bool:
    """Write to the row what is written in SQL; False if the database refused."""
    key = model._meta.pk.column
    statement = f"UPDATE {model._meta.db_table} SET {name} = {written} WHERE {key} = %s"
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, [row.pk.hex if hasattr(row.pk, "hex") and _is_sqlite() else row.pk])
            assert cursor.rowcount == 1
    except DatabaseError:
        return False
    return True


def _is_sqlite() -> bool:
    return connection.vendor == "sqlite"


def _value(column: Column, row: models.Model) -> Any:
    return column.model._default_manager.values_list(column.field.name, flat=True).get(pk=row.pk)


async def _extend(team_id: int, amount: Any) -> object:
    held = await ledger.hold(team_id, 1, run="r", project="1", key="", seconds=60)
    try:
        return await ledger.extend(held.id, amount, seconds=60)
    finally:
        await ledger.release(held.id)


async def _settle(team_id: int, amount: Any) -> object:
    held = await ledger.hold(team_id, 1, run="r", project="1", key="", seconds=60)
    try:
        return await ledger.settle(held.id, amount, price="1")
    except BaseException:
        await ledger.release(held.id)
        raise


async def _take(team_id: int, minimum: Any, maximum: Any) -> object:
    return await ledger.take_up_to(team_id, minimum, maximum, run="r", project="1", key="", seconds=60)


DOORS: Final[dict[str, Callable[[int, Any], object]]] = {
    "grant": lambda team, amount: ledger.grant(team, amount, reason="r", actor="a"),
    "correct": lambda team, amount: ledger.correct(team, amount, reason="r", actor="a"),
    "set_budget": lambda team, amount: limits.set_budget(team, scope="team", period="day", limit_nano=amount),
    "a plan's grant": lambda _, amount: limits.save_plan("p", monthly_grant_nano=amount, monthly_cap_nano=None),
    "a plan's cap": lambda _, amount: limits.save_plan("p", monthly_grant_nano=0, monthly_cap_nano=amount),
    "set_low_balance": limits.set_low_balance,
    "hold": lambda team, amount: asyncio.run(_take(team, amount, amount)),
    "take_up_to": lambda team, amount: asyncio.run(_take(team, amount, MAX_AMOUNT_NANO)),
    "extend": lambda team, amount: asyncio.run(_extend(team, amount)),
    "settle": lambda team, amount: asyncio.run(_settle(team, amount)),
}


@pytest.mark.parametrize("door", DOORS)
def test_no_door_of_the_ledger_takes_what_is_no_amount(door: str, team: Team) -> None:
    least = -MAX_AMOUNT_NANO if door == "correct" else 0
    impossible = [least - 1, True, 0.5, 1.0, math.nan, math.inf, -math.inf, 2**63, 2**80, MAX_AMOUNT_NANO + 1, "1", ""]
    for amount in [*impossible, Decimal(1), Decimal("NaN"), b"1", [], *([] if door == "a plan's cap" else [None])]:
        with pytest.raises(InvalidAmount):
            DOORS[door](team.pk, amount)
    assert Entry.objects.count() == 1
    assert not Budget.objects.exists()
    assert not Plan.objects.exists()


COMMANDS: Final = [
    ("grant_credits", "analysts", "--reason", "r", "--"),
    ("set_budget", "analysts", "--"),
    ("add_model", "fable/fox", "--endpoint", "http://127.0.0.1:9", "--kind", "tgi", "--price-out", "1", "--price-in"),
    ("add_model", "fable/fox", "--endpoint", "http://127.0.0.1:9", "--kind", "tgi", "--price-in", "1", "--price-out"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: f"{command[0]} {command[-1]}")
@pytest.mark.parametrize(
    "written",
    ["-1", "NaN", "inf", "-Infinity", "1e3", "True", "0x10", "1_0", "1,5", "", " ", "\u0661", "9" * 40, "1/0"],
)
def test_no_command_takes_what_is_no_amount(command: tuple[str, ...], written: str, team: Team) -> None:
    # Written with "=", an amount that begins with a dash is no option.
    amount = [f"{command[-1]}={written}"] if command[-1].startswith("--price") else ["--", written]
    with pytest.raises(CommandError):
        call_command(*command[:-1], *amount)
    assert Entry.objects.count() == 1
    assert not Budget.objects.exists()
    assert not Price.objects.exists()
