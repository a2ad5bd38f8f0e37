"""A team's ledger as a file that anyone can check, anywhere, with nothing but this module's rules.

The file is UTF-8, one JSON object a line, without white space, its keys in this order:

    {"format":"parley-ledger-1","team":…,"account":…,"entries":…,"balance_nano":…,"hash":…}
    {"account_id":…,"sequence":1,"kind":…,…,"created_at":"2026-01-31T23:59:59.123456+00:00","previous_hash":"","hash":…}

The first line says how many entries follow, and the balance and hash that they end with. Whoever keeps that hash
elsewhere can tell later that nothing before it was changed: a chain that was computed anew ends in another hash.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from credits.errors import LedgerError
from credits.ledger import audit
from credits.ledger.hashing import EntryRecord, chain_problems
from credits.models import Account, Entry

FORMAT: Final = "parley-ledger-1"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Tampered(LedgerError):
    """The file does not add up; the message names the first thing that does not fit."""


class Head(NamedTuple):
    """What an export says about itself, in the order in which it is written."""

    team: str
    account: int
    entries: int
    balance_nano: int
    hash: str


def lines(account: Account) -> Iterator[str]:
    """Write the account's entries as they are now, without line ends; what is appended meanwhile is not in it."""
    head = Head(account.team.slug, account.pk, account.entry_count, account.balance_nano, account.entry_hash)
    yield _encode({"format": FORMAT, **head._asdict()})
    for entry in audit.entries(account.pk, account.entry_count):
        yield _line(entry)


def verify(lines: Iterable[str]) -> Head:
    """Check an export and return what it says about itself. Raises Tampered."""
    numbered = enumerate((line.rstrip("\r\n") for line in lines), start=1)
    head = _head(next(numbered, (1, ""))[1])
    last = Head(head.team, head.account, 0, 0, "")

    def entries() -> Iterator[EntryRecord]:
        nonlocal last
        for number, line in numbered:
            entry = _entry(number, line)
            if entry.account_id != head.account:
                raise Tampered(f"line {number}: entry {entry.sequence} is of account {entry.account_id}")
            last = last._replace(entries=entry.sequence, balance_nano=entry.balance_after_nano, hash=entry.hash)
            yield entry

    if problem := next(chain_problems(entries()), None):
        raise Tampered(problem)
    if last != head:
        raise Tampered(
            f"the file says that it ends with entry {head.entries}, balance {head.balance_nano} and hash {head.hash}, "
            f"but it ends with entry {last.entries}, balance {last.balance_nano} and hash {last.hash}"
        )
    return head


def check_continues(head: Head) -> None:
    """Check that the database still has what was exported. Raises Tampered."""
    there = Entry.objects.filter(account=head.account, sequence=head.entries).values_list("hash", flat=True).first()
    if head.entries and there != head.hash:
        raise Tampered(f"entry {head.entries} of account {head.account} is not the one that was exported")


def _line(entry: EntryRecord) -> str:
    written_at = entry.created_at.astimezone(UTC).isoformat(timespec="microseconds")
    return _encode({**entry._asdict(), "created_at": written_at})


def _head(line: str) -> Head:
    try:
        written = json.loads(line)
        head = Head(**{name: written[name] for name in Head._fields})
    except (ValueError, TypeError, KeyError):
        raise Tampered("line 1 is not the beginning of an exported ledger") from None
    if _encode({"format": FORMAT, **head._asdict()}) != line:
        raise Tampered("line 1 is not as it was written")
    return head


def _entry(number: int, line: str) -> EntryRecord:
    """Read one entry; only the very text that ``lines`` writes is accepted."""
    try:
        written = json.loads(line)
        entry = EntryRecord(**{**written, "created_at": datetime.fromisoformat(written["created_at"])})
        is_canonical = all(type(value) is kind for value, kind in zip(entry, _TYPES, strict=True)) and (
            _line(entry) == line
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise Tampered(f"line {number} is not an entry") from None
    if not is_canonical:
        raise Tampered(f"line {number}: entry {entry.sequence} is not as it was written")
    return entry


_TYPES: Final = tuple(EntryRecord.__annotations__.values())
