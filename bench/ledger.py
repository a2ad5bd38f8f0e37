"""What the ledger costs: CPU milliseconds per request, which is one hold, one settlement and one row of the caller's.

    python -m bench.ledger [--budgets]

With ``--budgets``, the team, the project and the key have a daily budget each.
Uses the database in ``DATABASE_URL``, which should be empty and is left with the bench's rows; otherwise a SQLite file
in a temporary folder. On PostgreSQL the server's own CPU is not counted: it runs elsewhere.
"""

import asyncio
import os
import sys
import tempfile
import time
from typing import Final
from uuid import uuid4

REQUESTS: Final = 4_000
WARM_UP_REQUESTS: Final = 200
CONCURRENCIES: Final = (1, 10, 200)


def main() -> None:
    """Measure each concurrency and print a table."""
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder:
        os.environ.setdefault("DATA_DIR", folder)
        os.environ.setdefault("LOG_LEVEL", "WARNING")
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        _measure()


def _measure() -> None:
    from django.db import connection

    from accounts.models import Team
    from credits import ledger
    from credits.budgets import limits
    from credits.ledger import audit
    from credits.models import NANO

    team = Team.objects.create(slug=f"bench-{uuid4().hex[:8]}")
    ledger.grant(team.pk, 1_000 * NANO, reason="bench", actor="bench")
    if "--budgets" in sys.argv:
        for scope, reference in (("team", ""), ("project", "1"), ("key", "bench")):
            limits.set_budget(team.pk, scope=scope, reference=reference, period="day", limit_nano=900 * NANO)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS bench_run (id varchar(32) PRIMARY KEY, tokens bigint, ending text)")
    print(f"{connection.vendor}: one hold, one settlement with its entry, one row of the caller's")
    print("concurrency   CPU ms a request   requests a second   p50 ms   p99 ms")
    asyncio.run(_load(team.pk, 10, WARM_UP_REQUESTS))
    for concurrency in CONCURRENCIES:
        requests = REQUESTS if concurrency > 1 else REQUESTS // 4
        cpu_before, started_at = time.process_time(), time.perf_counter()
        latencies = asyncio.run(_load(team.pk, concurrency, requests))
        cpu_ms = 1_000 * (time.process_time() - cpu_before) / requests
        rate = requests / (time.perf_counter() - started_at)
        p50, p99 = (1_000 * latencies[int(len(latencies) * part)] for part in (0.5, 0.99))
        print(f"{concurrency:11}   {cpu_ms:16.3f}   {rate:17.0f}   {p50:6.1f}   {p99:6.1f}")
    ledger.close()
    problems = audit.check(team.pk)
    if problems:
        raise SystemExit(f"the ledger does not add up: {problems}")


async def _load(account_id: int, concurrency: int, requests: int) -> list[float]:
    """Return the sorted latencies, in seconds, of that many requests."""
    latencies: list[float] = []

    async def client() -> None:
        for _ in range(requests // concurrency):
            started_at = time.perf_counter()
            await _request(account_id)
            latencies.append(time.perf_counter() - started_at)

    await asyncio.gather(*(client() for _ in range(concurrency)))
    return sorted(latencies)


async def _request(account_id: int) -> None:
    from credits import ledger

    run = uuid4().hex
    held = await ledger.hold(account_id, 5_000, run=run, project="1", key="bench", seconds=60)
    row = ledger.Write("INSERT INTO bench_run (id, tokens, ending) VALUES (%s, %s, %s)", (run, 12, "stop"))
    await ledger.settle(held.id, 3_000, price="1", write=row)


if __name__ == "__main__":
    main()
