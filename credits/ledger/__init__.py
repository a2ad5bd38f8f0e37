"""The doors of the ledger, the only writer of money: hold → extend → settle | release; grant and correct.

All amounts are integers in nano-credits. An account is a team's, named by the team's id; runs, projects, keys and
prices are opaque strings of at most 64 characters. What a door refuses is in ``credits.errors``.

The async doors commit in groups on this process's writer thread. The sync doors, for commands and the admin panel,
use the caller's own connection, and take part in its transaction where one is open.
"""

import asyncio
import math
import time
from random import getrandbits
from typing import Final, TypeVar, cast
from uuid import UUID

from django.db import connection

from credits.errors import InsufficientCredits, InvalidAmount, LedgerUnavailable
from credits.ledger import writer as writing
from credits.ledger.book import Spender, Write
from credits.ledger.commit import commit, commit_within
from credits.ledger.operations import Extend, Held, Operation, Posting, Settle, Settlement, Take
from credits.ledger.postings import Post, Touch
from credits.models import Entry
from credits.money import MAX_AMOUNT_NANO, checked_amount

__all__ = [
    "Held",
    "Posting",
    "Settlement",
    "Write",
    "acorrect",
    "agrant",
    "atouch",
    "close",
    "correct",
    "extend",
    "freed",
    "grant",
    "hold",
    "release",
    "settle",
    "take_up_to",
    "touch",
]

Result = TypeVar("Result")

MAX_HOLD_SECONDS: Final = 7 * 86_400
# A hold that waits for others looks again this often: other processes' holds end without a word, and holds expire.
LOOK_AGAIN_SECONDS: Final = 0.5
MAX_REFERENCE_LENGTH: Final = 64
MAX_ACTOR_LENGTH: Final = 254
MAX_REASON_LENGTH: Final = 500


async def hold(
    account_id: int,
    amount_nano: int,
    *,
    run: str,
    project: str,
    key: str,
    seconds: float,
    wait_seconds: float = 0,
) -> Held:
    """Set an amount aside for a run, until it ends or the seconds are over.

    The balance must cover it, and every budget of the team, the project and the key; a refusal names which does not.
    Where only other holds stand in the way, waits at most ``wait_seconds`` for them to end. A caller that is cancelled
    leaves no hold behind. Raises InsufficientCredits, UnknownAccount or InvalidAmount.
    """
    return await take_up_to(
        account_id,
        amount_nano,
        amount_nano,
        run=run,
        project=project,
        key=key,
        seconds=seconds,
        wait_seconds=wait_seconds,
    )


async def take_up_to(
    account_id: int,
    minimum_nano: int,
    maximum_nano: int,
    *,
    run: str,
    project: str,
    key: str,
    seconds: float,
    wait_seconds: float = 0,
) -> Held:
    """Set aside as much as there is, between the two amounts; otherwise like ``hold``.

    Takes what is there now: it waits for other holds only while less than the minimum is available.
    """
    _checked_bounds(minimum_nano, maximum_nano)
    spender = Spender(_reference(run), _reference(project), _reference(key))
    _checked_seconds(seconds)

    async def take() -> Held:
        return await _take(Take(_new_id(), account_id, maximum_nano, spender, seconds, minimum_nano=minimum_nano))

    if wait_seconds <= 0:
        return await take()
    give_up_at = time.monotonic() + wait_seconds
    with writing.writer.watch(account_id) as freed_one:
        while True:
            # Cleared before the try, so that a hold which ends just after a refusal is not missed.
            freed_one.clear()
            try:
                return await take()
            except InsufficientCredits as refusal:
                left_seconds = give_up_at - time.monotonic()
                if not refusal.is_blocked or left_seconds <= 0:
                    raise
            await _is_set(freed_one, min(left_seconds, LOOK_AGAIN_SECONDS))


async def extend(hold_id: UUID, amount_nano: int, *, seconds: float, minimum_nano: int | None = None) -> Held:
    """Add to an open hold, and let it live at least the seconds from now.

    With a minimum, adds as much as there is between that and the amount. A refusal leaves the hold as it was. Raises
    InsufficientCredits (its amounts are those of the whole hold), HoldEnded, UnknownHold or InvalidAmount.
    """
    _checked_bounds(amount_nano if minimum_nano is None else minimum_nano, amount_nano)
    _checked_seconds(seconds)
    return await writing.writer.submit(Extend(hold_id, amount_nano, seconds, minimum_nano=minimum_nano))


async def settle(hold_id: UUID, cost_nano: int, *, price: str, write: Write | None = None) -> Settlement:
    """End a hold with its run's cost: append the charge, give the rest back, and write the caller's row with it.

    A cost above the hold, or of an expired hold, takes what is available; the rest is recorded as lost. A cost of 0
    releases the hold. A hold is settled or released once: again raises HoldEnded, and nothing is charged or written.
    It happens even if the caller is cancelled. Raises UnknownHold, InvalidAmount or OperationRefused.
    """
    checked_amount(cost_nano, minimum_nano=0)
    return await writing.writer.submit(Settle(hold_id, cost_nano, _reference(price), write))


async def release(hold_id: UUID, *, write: Write | None = None) -> Settlement:
    """End a hold without a charge; otherwise like ``settle``."""
    return await settle(hold_id, 0, price="", write=write)


async def freed(account_id: int, timeout: float) -> bool:
    """Wait until this process ends a hold of the account; False if none ended in the time given, in seconds."""
    with writing.writer.watch(account_id) as freed_one:
        return await _is_set(freed_one, timeout)


def grant(account_id: int, amount_nano: int, *, reason: str, actor: str) -> Posting:
    """Add credits to a team. Raises InvalidAmount or UnknownAccount."""
    return _done_here(_grant(account_id, amount_nano, reason, actor))


async def agrant(account_id: int, amount_nano: int, *, reason: str, actor: str) -> Posting:
    """Add credits to a team, from a coroutine."""
    return await writing.writer.submit(_grant(account_id, amount_nano, reason, actor))


def correct(account_id: int, amount_nano: int, *, reason: str, actor: str) -> Posting:
    """Append an opposite entry; a negative one takes at most what is available.

    Raises InsufficientCredits, InvalidAmount or UnknownAccount.
    """
    return _done_here(_correction(account_id, amount_nano, reason, actor))


async def acorrect(account_id: int, amount_nano: int, *, reason: str, actor: str) -> Posting:
    """Append an opposite entry, from a coroutine."""
    return await writing.writer.submit(_correction(account_id, amount_nano, reason, actor))


def touch(account_id: int) -> int:
    """Bring an account up to date (due holds expire, the month's grant is given) and return what is available.

    Every operation does so first; this is for who only wants to look. Raises UnknownAccount.
    """
    return _done_here(Touch(account_id))


async def atouch(account_id: int) -> int:
    """Bring an account up to date, from a coroutine."""
    return await writing.writer.submit(Touch(account_id))


def close() -> None:
    """Commit what was asked for, and end this process's writer; the next operation starts it again."""
    writing.writer.close()


def _new_id() -> UUID:
    """Return a name for a hold: later ones are greater, so that an index of them grows at its end.

    It is no secret, so the system is not asked for random numbers. That would let go of the interpreter's lock, and the
    writer would begin a group before all have come that could be in it.
    """
    return UUID(int=time.time_ns() << 64 | getrandbits(64))


async def _take(operation: Take) -> Held:
    """Take a hold; if its taker will not hear of it, give it back."""
    try:
        return await writing.writer.submit(operation)
    except (asyncio.CancelledError, GeneratorExit, LedgerUnavailable):
        # Operations happen in order of arrival, so this comes after the hold, if that is still to come.
        writing.writer.submit_unheard(Settle(operation.new_id, 0, "", None))
        raise


async def _is_set(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


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


def _reference(text: str) -> str:
    if len(text) > MAX_REFERENCE_LENGTH or not text.isprintable():
        raise ValueError(f"a reference is printable and has at most {MAX_REFERENCE_LENGTH} characters")
    return text


def _checked_bounds(minimum_nano: int, maximum_nano: int) -> None:
    checked_amount(minimum_nano, minimum_nano=0)
    if checked_amount(maximum_nano, minimum_nano=0) < minimum_nano:
        raise InvalidAmount("the minimum is above the maximum")


def _checked_seconds(seconds: float) -> None:
    if not math.isfinite(seconds) or not 0 < seconds <= MAX_HOLD_SECONDS:
        raise ValueError(f"a hold lives up to {MAX_HOLD_SECONDS} seconds, not {seconds}")
