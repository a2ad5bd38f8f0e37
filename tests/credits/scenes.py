"""What the tests of the ledger do again and again."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Iterable
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from django.conf import settings

from credits import ledger
from credits.ledger import Held
from proofs import scratch

DOLLAR = 1_000_000_000
Result = TypeVar("Result")


async def take(account_id: int, amount_nano: int, *, seconds: float = 60, wait_seconds: float = 0) -> Held:
    """Take a hold for a run of its own."""
    return await ledger.hold(
        account_id,
        amount_nano,
        run=uuid4().hex,
        project="research",
        key="k1",
        seconds=seconds,
        wait_seconds=wait_seconds,
    )


async def outcomes(awaitables: Iterable[Awaitable[Result]]) -> list[Result | BaseException]:
    """Await all at once; an error is an outcome too."""
    return await asyncio.gather(*awaitables, return_exceptions=True)


def spend(account_id: int, cost_nano: int) -> ledger.Settlement:
    """Hold and settle an amount."""

    async def scene() -> ledger.Settlement:
        return await ledger.settle((await take(account_id, cost_nano)).id, cost_nano, price="1")

    return asyncio.run(scene())


def child(*arguments: object, database_url: str = "") -> subprocess.Popen[str]:
    """Start another process on the same database, up to where it waits for a line on its standard input."""
    environment = os.environ | {
        "DATABASE_URL": database_url or scratch.database_url(),
        "DATA_DIR": str(settings.DATA_DIR),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.credits.child", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process
