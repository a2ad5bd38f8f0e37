"""Another process that uses the ledger: ``python -m tests.credits.child leave|grant|migrate …``.

Prints ``ready``, waits for a line, does its work, and prints what came of it as JSON.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine


def main(task: str, *numbers: int) -> None:
    """Do the task."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    work: dict[str, Callable[..., Coroutine[None, None, object]]]
    work = {"leave": _leave, "grant": _grant, "migrate": _migrate}
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(asyncio.run(work[task](*numbers))), flush=True)


async def _leave(account_id: int, takers: int) -> None:
    """End while holds are being taken."""
    from tests.credits.scenes import take

    tasks = [asyncio.create_task(take(account_id, 10_000)) for _ in range(takers)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()


async def _grant(account_id: int, grants: int) -> list[int]:
    """Grant one nano-credit again and again; return the balances that were reported."""
    from credits import ledger

    return [(await ledger.agrant(account_id, 1, reason="a drop", actor="child")).balance_nano for _ in range(grants)]


async def _migrate() -> None:
    """Make the tables, and a first team."""
    await asyncio.to_thread(_make_team)


def _make_team() -> None:
    from django.core.management import call_command
    from django.db import connection

    from accounts.models import Team

    call_command("migrate", verbosity=0)
    Team.objects.create(id=1, slug="analysts")
    connection.close()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
