"""A process that dies at any moment: what was confirmed stays, and nothing else is charged or held for ever."""

import random
import tempfile
import time
from pathlib import Path
from typing import Final

from credits import ledger
from credits.budgets import limits
from credits.models import NANO, Entry, Hold
from proofs.checks import must, must_add_up, team_with
from proofs.processes import Child

CLIENTS: Final = 20
# Longer than the holds of the load live.
EXPIRY_SECONDS: Final = 1.1


def killed_under_load(times: int) -> str:
    """Kill a process while it holds, extends and settles; then look at the books, and again after the holds' expiry."""
    chance = random.Random(11)
    confirmed, accounts = 0, []
    for _ in range(times):
        account_id = team_with(10 * NANO)
        limits.set_budget(account_id, scope="key", reference="key-0", period="day", limit_nano=5 * NANO)
        accounts.append(account_id)
        confirmed += _kill_once(account_id, 0.1 + 0.4 * chance.random())
    time.sleep(EXPIRY_SECONDS)
    for account_id in accounts:
        ledger.touch(account_id)
        must(must_add_up(account_id).held_nano == 0, "credits stayed held")
        is_open = Hold.objects.filter(account=account_id, state=Hold.State.OPEN).exists()
        must(not is_open, "a hold stayed open")
    must(confirmed, "no request was under way")
    return (
        f"A process with {CLIENTS} requests at a time was killed {times} times: each time the entries added up to the "
        f"balance, none of {confirmed} confirmed charges was lost or doubled, and after their expiry no hold was open."
    )


def _kill_once(account_id: int, seconds: float) -> int:
    """Load the ledger for that long, kill, and return how many charges were confirmed; each must be there once."""
    with tempfile.TemporaryDirectory(prefix="parley-proof-") as folder:
        report = Path(folder) / "confirmed"
        with report.open("wb") as output, Child(output) as child:
            child.tell("load", account_id, CLIENTS)
            _wait_for(report)
            time.sleep(seconds)
            child.kill()
        written = report.read_text()
        # A line that the kill cut short is no confirmation.
        confirmed = [int(line) for line in written[: written.rfind("\n") + 1].split()]
    must_add_up(account_id)
    charges = Entry.objects.filter(account=account_id, kind=Entry.Kind.CHARGE)
    sequences, runs = set(charges.values_list("sequence", flat=True)), charges.values("run").distinct().count()
    must(len(set(confirmed)) == len(confirmed), "a charge was confirmed twice")
    must(set(confirmed) <= sequences, "a confirmed charge is not in the ledger")
    must(runs == len(sequences), "a run was charged twice")
    return len(confirmed)


def _wait_for(report: Path) -> None:
    """Wait until the load has begun."""
    give_up_at = time.monotonic() + 60
    while not report.stat().st_size:
        must(time.monotonic() < give_up_at, "a process did not begin its work")
        time.sleep(0.01)
