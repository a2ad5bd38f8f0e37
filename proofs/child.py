"""Another process that uses the ledger: ``python -m proofs.child`` reads a task a line and answers each.

A task is a JSON array of its name and its arguments; the answer is a line of JSON.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from credits.ledger import Held


def main() -> None:
    """Do tasks until there are no more."""
    import django

    django.setup()
    work: dict[str, Callable[..., Coroutine[None, None, object]]]
    work = {
        **{"ready": _ready, "requests": _requests, "load": _load, "touch": _touch},
        **{"hold": _hold, "settle": _settle},
    }
    for line in sys.stdin:
        task, *arguments = json.loads(line)
        print(json.dumps(asyncio.run(work[task](*arguments))), flush=True)


async def _ready() -> bool:
    """Say that the process has started."""
    return True


async def _requests(account_id: int, requests: int) -> list[int]:
    """Make requests at once; return how many were answered, failed and were refused."""
    from proofs.concurrent import tally

    return list(await tally(account_id, requests))


async def _load(account_id: int, concurrency: int) -> None:
    """Hold, extend and settle until killed; print each run whose settlement was confirmed."""
    from credits import ledger
    from proofs.checks import take

    async def client(number: int) -> None:
        for turn in count():
            held = await take(account_id, 10_000, key=f"key-{number % 4}", seconds=1)
            if turn % 3 == 0:
                await ledger.extend(held.id, 5_000, seconds=1)
            settlement = await ledger.settle(held.id, 7_000, price="1")
            # Written at once: what is still in a buffer when the process dies was not confirmed to anyone.
            os.write(1, f"{settlement.sequence}\n".encode())

    await asyncio.gather(*(client(number) for number in range(concurrency)))


_held: "list[Held]" = []


async def _hold(account_id: int, count: int) -> int:
    """Take holds for ``settle``; return how many there are."""
    from proofs.checks import take

    _held.extend([await take(account_id, 10_000) for _ in range(count)])
    return len(_held)


async def _settle(cost_nano: int, folder: str) -> list[str]:
    """Settle them at once, with a journal in the folder; return what kind of outcome each had."""
    from credits import ledger

    ledger.keep_journal(Path(folder))
    settling = (ledger.settle(held.id, cost_nano, price="1") for held in _held)
    return [type(outcome).__name__ for outcome in await asyncio.gather(*settling, return_exceptions=True)]


async def _touch(account_id: int) -> int:
    """Bring the account up to date; return what is available."""
    from credits import ledger

    return await ledger.atouch(account_id)


if __name__ == "__main__":
    main()
