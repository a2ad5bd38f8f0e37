"""The chain of entries: each entry's hash covers its content and the hash before it, so that no past entry can change
without every later hash changing too.

The hash is the lower-case hexadecimal SHA-256 of this, encoded in UTF-8: a JSON array without white space, in which
only ``"`` and ``\\`` are escaped, by a ``\\`` (the ledger's texts hold no control characters):

    ["parley-entry-1", previous_hash, account, sequence, kind, amount_nano, lost_nano, balance_after_nano,
     run, price, project, key, actor, reason, created_at]

An account's first entry has sequence 1 and the previous hash "". Numbers are JSON integers; ``created_at`` is written
in UTC as ``2026-01-31T23:59:59.123456+00:00``, always with six decimals.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

VERSION = "parley-entry-1"
_encode = msgspec.json.Encoder().encode


class EntryRecord(NamedTuple):
    """An entry's columns, in the order in which they are hashed."""

    account_id: int
    sequence: int
    kind: str
    amount_nano: int
    lost_nano: int
    balance_after_nano: int
    run: str
    price: str
    project: str
    key: str
    actor: str
    reason: str
    created_at: datetime
    previous_hash: str
    hash: str


def next_entry(previous_hash: str, content: tuple[Any, ...], created_at: datetime, written_at: str) -> EntryRecord:
    """Return the entry with this content (the first twelve columns) that continues the chain.

    ``written_at`` is ``created_at`` as it is hashed.
    """
    return EntryRecord._make((*content, created_at, previous_hash, _hash(previous_hash, content, written_at)))


def entry_hash(entry: EntryRecord) -> str:
    """Return the hash that the entry must have; its own ``hash`` is not looked at."""
    return _hash(entry.previous_hash, entry[:12], written(entry.created_at))


def written(moment: datetime) -> str:
    """Return a moment as it is hashed."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _hash(previous_hash: str, content: tuple[Any, ...], written_at: str) -> str:
    return sha256(_encode([VERSION, previous_hash, *content, written_at])).hexdigest()


def chain_problems(entries: Iterable[EntryRecord]) -> Iterator[str]:
    """Name each entry of one account that does not fit the one before it; entries come in order of their sequence.

    Needs nothing but the entries, so an exported file can be checked anywhere.
    """
    sequence, balance_nano, previous_hash = 0, 0, ""
    for entry in entries:
        name = f"entry {entry.sequence} of account {entry.account_id}"
        if entry.sequence != sequence + 1:
            yield f"{name} follows entry {sequence}"
        if entry.previous_hash != previous_hash:
            yield f"{name} does not continue the chain"
        if entry.hash != entry_hash(entry):
            yield f"{name} does not match its hash"
        if entry.balance_after_nano != balance_nano + entry.amount_nano:
            yield f"{name} does not add up to its balance"
        sequence, balance_nano, previous_hash = entry.sequence, entry.balance_after_nano, entry.hash
