"""These tests run after the whole chain of migrations, as every test with a database does."""

import asyncio
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, transaction

from accounts.models import Team
from credits import ledger
from credits.ledger import audit, triggers
from credits.ledger.hashing import EntryRecord, chain_problems, entry_hash
from credits.models import Account, Entry, Hold
from tests.credits.scenes import DOLLAR, take

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


def _refused(statement: str) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except DatabaseError as error:
        return "entries are appended, never edited or deleted" in str(error)
    return False


def test_no_statement_edits_or_deletes_an_entry(team: Team) -> None:
    assert _refused("UPDATE credits_entry SET amount_nano = 1")
    assert _refused("DELETE FROM credits_entry")
    if connection.vendor == "postgresql":
        assert _refused("TRUNCATE credits_entry")
    with pytest.raises(DatabaseError), transaction.atomic():
        Entry.objects.update(reason="another")
    with pytest.raises(DatabaseError), transaction.atomic():
        Entry.objects.all().delete()


def test_no_entry_takes_the_place_of_another(team: Team) -> None:
    if connection.vendor == "postgresql":
        assert _refused("INSERT INTO credits_entry TABLE credits_entry ON CONFLICT (id) DO UPDATE SET reason = ''")
        return
    hold = asyncio.run(take(team.pk, DOLLAR))
    asyncio.run(ledger.settle(hold.id, 5, price="v1"))
    columns = ", ".join([str(field.column) for field in Entry._meta.concrete_fields])
    with connection.cursor() as cursor:
        # As in a shell: with them, a replaced row is a deleted one.
        cursor.execute("PRAGMA recursive_triggers = OFF")
        for place in ("id", "sequence", "run"):
            values = {"id": "id + 100", "sequence": "sequence + 100"}
            chosen = ", ".join([each if each == place else values.get(each, each) for each in columns.split(", ")])
            assert _refused(f"REPLACE INTO credits_entry ({columns}) SELECT {chosen} FROM credits_entry"), place
        cursor.execute("PRAGMA recursive_triggers = ON")


def test_migrating_again_brings_the_triggers_back(team: Team) -> None:
    triggers.drop(DEFAULT_DB_ALIAS)
    assert not _refused("UPDATE credits_entry SET reason = reason")
    call_command("migrate", verbosity=0)
    assert _refused("UPDATE credits_entry SET reason = reason")


@pytest.mark.parametrize("column", ["balance_nano = -1", "held_nano = -1", "held_nano = balance_nano + 1"])
def test_the_database_itself_refuses_an_impossible_account(team: Team, column: str) -> None:
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE credits_account SET {column}")


def test_entries_form_a_chain_from_the_first(team: Team) -> None:
    async def scene() -> None:
        for cost in (5, 0, 7, 9):
            await ledger.settle((await take(team.pk, DOLLAR)).id, cost, price="v1")

    asyncio.run(scene())
    ledger.correct(team.pk, -1, reason='"quoted", naïve, \\ and 漢字', actor="a")
    entries = list(audit.entries(team.pk))
    assert [entry.sequence for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.previous_hash for entry in entries] == ["", *(entry.hash for entry in entries[:-1])]
    assert [entry.hash for entry in entries] == [entry_hash(entry) for entry in entries]
    assert Account.objects.get(team=team).entry_hash == entries[-1].hash


def test_the_hash_is_that_of_the_documented_bytes() -> None:
    moment = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
    reason = '"quoted", naïve, \\ and 漢字/</'
    entry = EntryRecord(7, 2, "charge", -(2**62), 0, 5, "run", "1", "3", "key", "", reason, moment, "ab" * 32, "")
    written = (
        f'["parley-entry-1","{"ab" * 32}",7,2,"charge",-4611686018427387904,0,5,"run","1","3","key","",'
        r'"\"quoted\", naïve, \\ and 漢字/</",'
        '"2026-01-31T23:59:59.000000+00:00"]'
    )
    assert entry_hash(entry) == sha256(written.encode()).hexdigest()


def test_a_tampered_entry_is_named(team: Team) -> None:
    for _ in range(4):
        ledger.grant(team.pk, 1, reason="drop", actor="a")
    entries = list(audit.entries(team.pk))
    entries[2] = entries[2]._replace(reason="drops")
    assert list(chain_problems(entries)) == [f"entry 3 of account {team.pk} does not match its hash"]
    del entries[2]
    assert next(chain_problems(entries)) == f"entry 4 of account {team.pk} follows entry 2"


def test_a_settled_hold_without_a_charge_is_named(team: Team) -> None:
    held = asyncio.run(take(team.pk, 0))
    Hold.objects.filter(pk=held.id).update(state="settled", run="run-1")
    assert audit.check(team.pk) == [f"account {team.pk} settled run run-1 without a charge"]
    Hold.objects.filter(pk=held.id).update(state="released")


def test_an_account_that_does_not_add_up_is_named(team: Team) -> None:
    asyncio.run(take(team.pk, DOLLAR))
    Account.objects.filter(team=team).update(balance_nano=11 * DOLLAR, held_nano=0)
    problems = audit.check(team.pk)
    assert problems == [
        f"account {team.pk} has a balance of {11 * DOLLAR}, but its entries add up to {10 * DOLLAR}",
        f"account {team.pk} holds 0, but its open holds add up to {DOLLAR}",
    ]
    Account.objects.filter(team=team).update(balance_nano=10 * DOLLAR, held_nano=DOLLAR)
