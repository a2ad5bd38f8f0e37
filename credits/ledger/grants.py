"""What is asked of an account itself: grants, corrections, and a look that brings it up to date.

The plain functions, for commands and the admin panel, use the caller's own connection, and take part in its transaction
where one is open; the coroutines commit on this process's writer thread.
"""

from typing import Final, TypeVar, cast

from django.db import connection

from credits.errors import InvalidAmount
from credits.ledger.commit import commit, commit_within
from credits.ledger.operations import Operation, Posting
from credits.ledger.postings import Post, Touch
from credits.ledger.writer import writer
from credits.models import Entry
from credits.money import MAX_AMOUNT_NANO, checked_amount

MAX_ACTOR_LENGTH: Final = 254
MAX_REASON_LENGTH: Final = 500

Result = TypeVar("Result")


def grant(account_id: int, amount_nano: int, *, reason: str, actor: str) -> Posting:
    """Add credits to a team. Raises InvalidAmount or UnknownAccount."""
    return _done_here(_grant(account_id, amount_nano, reason, actor))


async def agrant(account_id: int, amount_nano: int, *, reason: str, actor: str) -> Posting:
    """Add credits to a team, from a coroutine."""
    return await writer.submit(_grant(account_id, amount_nano, reason, actor))


def correct(account_id: int, amount_nano: int, *, reason: str, actor: str) -> Posting:
    """Append an opposite entry; a negative one takes at most what is available.

    Raises InsufficientCredits, InvalidAmount or UnknownAccount.
    """
    return _done_here(_correction(account_id, amount_nano, reason, actor))


async def acorrect(account_id: int, amount_nano: int, *, reason: str, actor: str) -> Posting:
    """Append an opposite entry, from a coroutine."""
    return await writer.submit(_correction(account_id, amount_nano, reason, actor))


def touch(account_id: int) -> int:
    """Bring an account up to date (due holds expire, the month's grant is given) and return what is available.

    Every operation does so first; this is for who only wants to look. Raises UnknownAccount.
    """
    return _done_here(Touch(account_id))


async def atouch(account_id: int) -> int:
    """Bring an account up to date, from a coroutine."""
    return await writer.submit(Touch(account_id))


def _done_here(operation: Operation[Result]) -> Result:
    outcome = commit_within(operation) if connection.in_atomic_block else commit([operation]).outcomes[0]
    if isinstance(outcome, Exception):
        raise outcome
    return cast(Result, outcome)


def _grant(account_id: int, amount_nano: int, reason: str, actor: str) -> Post:
    checked_amount(amount_nano, minimum_nano=1)
    return Post(account_id, Entry.Kind.GRANT, amount_nano, *_explained(reason, actor))


def _correction(account_id: int, amount_nano: int, reason: str, actor: str) -> Post:
    if checked_amount(amount_nano, minimum_nano=-MAX_AMOUNT_NANO) == 0:
        raise InvalidAmount("a correction of nothing")
    return Post(account_id, Entry.Kind.CORRECTION, amount_nano, *_explained(reason, actor))


def _explained(reason: str, actor: str) -> tuple[str, str]:
    """Return the reason and the actor as they are kept; both must be there and fit their columns."""
    for text, limit in ((reason, MAX_REASON_LENGTH), (actor, MAX_ACTOR_LENGTH)):
        if not 0 < len(text) <= limit or not text.isprintable() or text.isspace():
            raise ValueError(f"a reason and an actor are one printable line each, of at most {limit} characters")
    return reason, actor
