"""A database that takes no writes while answers end, and a process that dies before it does again."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from django.db import connection

from credits import ledger
from credits.models import NANO, Entry
from proofs.checks import must, must_add_up, team_with
from proofs.processes import Child

SETTLEMENTS: Final = 40
COST_NANO: Final = 7_000


def charged_after_an_outage(times: int) -> str:
    """Settle while the database takes no writes, kill the process, and find and replay what it left, twice."""
    for _ in range(times):
        _charge_once(team_with(NANO))
    return (
        f"A process with {SETTLEMENTS} settlements that the database did not take was killed {times} times: each was "
        "told as kept, and charged once, however often what it left was found."
    )


@contextmanager
def taking_no_writes() -> Iterator[None]:
    """Keep everybody else from writing accounts while the block runs."""
    is_sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE" if is_sqlite else "BEGIN")
        try:
            if not is_sqlite:
                cursor.execute("LOCK TABLE credits_account")
            yield
        finally:
            cursor.execute("ROLLBACK")


def _charge_once(account_id: int) -> None:
    with tempfile.TemporaryDirectory(prefix="parley-proof-") as name, Child() as child:
        folder = Path(name)
        must(child.ask("hold", account_id, SETTLEMENTS) == SETTLEMENTS, "a hold was not taken")
        with taking_no_writes():
            told = child.ask("settle", COST_NANO, name)
            must(told == ["SettlementJournaled"] * SETTLEMENTS, f"settlements were not kept: {told}")
            must(not Entry.objects.filter(account=account_id, kind=Entry.Kind.CHARGE).exists(), "the outage was none")
            child.kill()
        (left,) = folder.glob("*.journal")
        content = left.read_bytes()
        must(ledger.replay_left_behind(folder) == SETTLEMENTS, "what a dead process left was not settled")
        # As if it had been killed in the middle of that, too.
        left.write_bytes(content)
        must(ledger.replay_left_behind(folder) == 0, "something was settled twice")
    account = must_add_up(account_id)
    must(account.balance_nano == NANO - SETTLEMENTS * COST_NANO, "not everything was charged once")
    must(account.held_nano == 0, "credits stayed held")
