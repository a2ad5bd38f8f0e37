"""One entry among ten thousand is changed, removed, added or moved: the verifier names it."""

import json
import random
from collections.abc import Callable
from typing import Any, Final

from django.db import DEFAULT_DB_ALIAS, connection

from credits.ledger import audit, export, triggers
from credits.ledger.commit import commit
from credits.ledger.export import Tampered
from credits.ledger.operations import Operation
from credits.ledger.postings import Post
from credits.models import Account, Entry
from proofs.checks import must, must_add_up, team_with

ENTRIES: Final = 10_000
GROUP: Final = 250

Lines = list[str]
# A way to tamper with entry n, which is on line n; returns the entry that must be named for it.
Way = Callable[[Lines, int], int]


def tampered_entries(times: int) -> str:
    """Tamper in each way that many times, in an exported file and in the database with its triggers gone."""
    account_id = _account_with_entries()
    must_add_up(account_id)
    exported = list(export.lines(Account.objects.select_related("team").get(pk=account_id)))
    must(export.verify(exported).entries == ENTRIES, "the export is not whole")
    chance = random.Random(5)
    for way in WAYS:
        for _ in range(times):
            _must_be_named_in_file(exported, way, chance.randint(2, ENTRIES - 2))
    _must_notice_a_missing_end(exported)
    for _ in range(times):
        _must_be_named_in_database(account_id, chance.randint(2, ENTRIES - 2))
    must_add_up(account_id)
    named = (len(WAYS) + 1) * times + 1
    return f"{named} ledgers of {ENTRIES} entries, each with one entry tampered with: the entry was named every time."


def _account_with_entries() -> int:
    account_id = team_with(1_000)
    for start in range(1, ENTRIES, GROUP):
        numbers = range(start, min(start + GROUP, ENTRIES))
        operations: list[Operation[object]] = [
            Post(account_id, Entry.Kind.CORRECTION, -3 if number % 2 else 5, f"number {number}", "prove")
            for number in numbers
        ]
        commit(operations)
    return account_id


def _must_be_named_in_file(exported: Lines, way: Way, place: int) -> None:
    lines = list(exported)
    expected = way(lines, place)
    try:
        export.verify(lines)
    except Tampered as problem:
        must(f"entry {expected} " in str(problem), f"{way.__name__} at {place} was taken for: {problem}")
    else:
        must(False, f"{way.__name__} at {place} was not noticed")


def _must_notice_a_missing_end(exported: Lines) -> None:
    try:
        export.verify(exported[:-1])
    except Tampered:
        return
    must(False, "a missing last entry was not noticed")


def _must_be_named_in_database(account_id: int, sequence: int) -> None:
    """Change an entry behind the ledger's back, see it named, and change it back."""
    triggers.drop(DEFAULT_DB_ALIAS)
    try:
        entry = Entry.objects.filter(account=account_id, sequence=sequence)
        amount_nano = entry.get().amount_nano
        entry.update(amount_nano=amount_nano + 1)
        problems = audit.check(account_id)
        named = f"entry {sequence} of account {account_id} does not match its hash"
        must(problems and problems[0] == named, f"a changed amount was taken for: {problems[:1]}")
        entry.update(amount_nano=amount_nano)
    finally:
        triggers.create(connection.alias)


def _changed(line: str, **changes: Any) -> str:
    return json.dumps(json.loads(line) | changes, ensure_ascii=False, separators=(",", ":"))


def change_amount(lines: Lines, place: int) -> int:
    """Another amount, with everything else as it was."""
    lines[place] = _changed(lines[place], amount_nano=json.loads(lines[place])["amount_nano"] + 1)
    return place


def change_balance(lines: Lines, place: int) -> int:
    """Another balance after the entry."""
    lines[place] = _changed(lines[place], balance_after_nano=1)
    return place


def change_reason(lines: Lines, place: int) -> int:
    """Another text."""
    lines[place] = _changed(lines[place], reason="nothing to see")
    return place


def delete(lines: Lines, place: int) -> int:
    """An entry less: the one behind it does not follow."""
    del lines[place]
    return place + 1


def delete_and_renumber(lines: Lines, place: int) -> int:
    """An entry less, and the one behind it takes its number."""
    del lines[place]
    lines[place] = _changed(lines[place], sequence=place)
    return place


def insert(lines: Lines, place: int) -> int:
    """An entry more, that claims to be next."""
    lines.insert(place, _changed(lines[place], amount_nano=1_000_000))
    return place


def repeat(lines: Lines, place: int) -> int:
    """An entry twice: its second time does not follow its first."""
    lines.insert(place, lines[place])
    return place


def swap(lines: Lines, place: int) -> int:
    """Two entries in each other's place."""
    lines[place], lines[place + 1] = lines[place + 1], lines[place]
    return place + 1


WAYS: Final[tuple[Way, ...]] = (
    change_amount,
    change_balance,
    change_reason,
    delete,
    delete_and_renumber,
    insert,
    repeat,
    swap,
)
