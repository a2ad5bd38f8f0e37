"""What a run asks of the ledger: hold → extend → settle | release. Committed in groups on this process's writer thread.

Each is there twice: as a coroutine, and as an operation that is prepared (which checks its values), submitted with a
callback, and costs neither a task nor a future.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from random import getrandbits
from typing import Any, Final
from uuid import UUID

from credits.errors import InsufficientCredits, InvalidAmount, LedgerUnavailable
from credits.ledger.book import Attribution, Write
from credits.ledger.commit import commit
from credits.ledger.operations import Expire, Extend, Held, Operation, Settle, Settlement, Take
from credits.ledger.writer import GROUP_LIMIT, writer
from credits.money import checked_amount

MAX_HOLD_SECONDS: Final = 7 * 86_400
# A hold that waits for others looks again this often: other processes' holds end without a word, and holds expire.
LOOK_AGAIN_SECONDS: Final = 0.5
MAX_REFERENCE_LENGTH: Final = 64


def prepare_hold(
    account_id: int,
    minimum_nano: int,
    maximum_nano: int,
    *,
    run: str,
    project: str,
    key: str,
    seconds: float,
) -> Take:
    """Return the operation that opens a hold of as much as there is between the two amounts. Raises InvalidAmount.

    Its outcome is a Held, or what ``hold`` raises. Whoever submits it and has no use for the hold any more gives it
    back with a settlement of 0.
    """
    _check_bounds(minimum_nano, maximum_nano)
    _check_seconds(seconds)
    attribution = Attribution(_reference(run), _reference(project), _reference(key))
    return Take(_new_id(), account_id, maximum_nano, attribution, seconds, minimum_nano=minimum_nano)


def prepare_extension(hold_id: UUID, amount_nano: int, *, seconds: float, minimum_nano: int | None = None) -> Extend:
    """Return the operation that adds to a hold; its outcome is what ``extend`` returns or raises."""
    _check_bounds(amount_nano if minimum_nano is None else minimum_nano, amount_nano)
    _check_seconds(seconds)
    return Extend(hold_id, amount_nano, seconds, minimum_nano=minimum_nano)


def prepare_settlement(hold_id: UUID, cost_nano: int, *, price: str, write: Write | None = None) -> Settle:
    """Return the operation that ends a hold; its outcome is what ``settle`` returns or raises."""
    checked_amount(cost_nano, minimum_nano=0)
    return Settle(hold_id, cost_nano, _reference(price), write)


def submit(operation: Operation[Any], loop: asyncio.AbstractEventLoop, on_done: Callable[[Any], None] | None) -> None:
    """Have a prepared operation committed, and call back in the loop with its result, or the LedgerError instead of it.

    For the loop's own thread. What is submitted happens, in order, whatever becomes of whoever did.
    """
    writer.submit_callback(operation, loop, on_done)


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

    async def take() -> Held:
        return await _take(
            prepare_hold(account_id, minimum_nano, maximum_nano, run=run, project=project, key=key, seconds=seconds)
        )

    if wait_seconds <= 0:
        return await take()
    give_up_at = time.monotonic() + wait_seconds
    with writer.watch(account_id) as freed_one:
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
    return await writer.submit(prepare_extension(hold_id, amount_nano, seconds=seconds, minimum_nano=minimum_nano))


async def settle(hold_id: UUID, cost_nano: int, *, price: str, write: Write | None = None) -> Settlement:
    """End a hold with its run's cost: append the charge, give the rest back, and write the caller's row with it.

    A cost above the hold, or of an expired hold, takes what is available; the rest is recorded as lost. A cost of 0
    releases the hold. A hold is settled or released once: again raises HoldEnded, and nothing is charged or written.
    It happens even if the caller is cancelled. Raises UnknownHold, InvalidAmount or OperationRefused; and, where a
    journal is kept, SettlementJournaled instead of waiting for a database that takes no writes.
    """
    return await writer.submit(prepare_settlement(hold_id, cost_nano, price=price, write=write))


async def release(hold_id: UUID, *, write: Write | None = None) -> Settlement:
    """End a hold without a charge; otherwise like ``settle``."""
    return await settle(hold_id, 0, price="", write=write)


def expire(hold_ids: Sequence[UUID]) -> int:
    """End holds before their time, whose runs nobody ends any more; return how many of them were open.

    On the caller's own connection; blocks. Raises LedgerUnavailable or UnknownHold.
    """
    count = 0
    for start in range(0, len(hold_ids), GROUP_LIMIT):
        for outcome in commit([Expire(hold_id) for hold_id in hold_ids[start : start + GROUP_LIMIT]]).outcomes:
            if isinstance(outcome, Exception):
                raise outcome
            count += bool(outcome)
    return count


async def freed(account_id: int, timeout: float) -> bool:
    """Wait until this process ends a hold of the account; False if none ended in the time given, in seconds."""
    with writer.watch(account_id) as freed_one:
        return await _is_set(freed_one, timeout)


def _new_id() -> UUID:
    """Return a name for a hold: later ones are greater, so that an index of them grows at its end.

    It is no secret, so the system is not asked for random numbers. That would let go of the interpreter's lock, and the
    writer would begin a group before all have come that could be in it.
    """
    return UUID(int=time.time_ns() << 64 | getrandbits(64))


async def _take(operation: Take) -> Held:
    """Take a hold; if its taker will not hear of it, give it back."""
    loop = asyncio.get_running_loop()
    try:
        return await writer.submit(operation)
    except (asyncio.CancelledError, GeneratorExit, LedgerUnavailable):
        # Operations happen in order of arrival, so this comes after the hold, if that is still to come.
        writer.give_back(operation.new_id, loop)
        raise


async def _is_set(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def _reference(text: str) -> str:
    if len(text) > MAX_REFERENCE_LENGTH or not text.isprintable():
        raise ValueError(f"a reference is printable and has at most {MAX_REFERENCE_LENGTH} characters")
    return text


def _check_bounds(minimum_nano: int, maximum_nano: int) -> None:
    checked_amount(minimum_nano, minimum_nano=0)
    if checked_amount(maximum_nano, minimum_nano=0) < minimum_nano:
        raise InvalidAmount("the minimum is above the maximum")


def _check_seconds(seconds: float) -> None:
    if not math.isfinite(seconds) or not 0 < seconds <= MAX_HOLD_SECONDS:
        raise ValueError(f"a hold lives up to {MAX_HOLD_SECONDS} seconds, not {seconds}")
