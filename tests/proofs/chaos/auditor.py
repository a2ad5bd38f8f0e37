"""What must be so when the trouble is over: nobody paid for what was not delivered, and everybody for what was."""

from contextlib import suppress
from typing import Final

import psutil

from credits import ledger
from credits.models import Account, Entry, Hold
from inference.models import Run
from proofs.checks import must, must_add_up
from tests.inference.scenes import INPUT_NANO, OUTPUT_NANO
from tests.patience import within
from tests.proofs.chaos.clients import Callers, Seen

# A run, its hold's grace, and the next look at what expired.
LAST_HOLD_SECONDS: Final = 90
MIB: Final = 1 << 20
MOST_GROWTH: Final = 1.1


def must_be_right(callers: Callers, seen: Seen) -> str:
    """Wait until nothing is held, and have everything checked; returns what was found. Raises Disproved."""
    accounts = {each.team.pk for each in callers}
    within(LAST_HOLD_SECONDS, lambda: all(map(_is_free, accounts)))
    for account in accounts:
        must(must_add_up(account).balance_nano >= 0, "more was spent than there was")
    entries = Entry.objects.filter(account__in=accounts, kind=Entry.Kind.CHARGE)
    charges = dict(entries.values_list("run", "amount_nano"))
    must(len(charges) == entries.count(), "a run was charged twice")
    must(not entries.exclude(lost_nano=0).exists(), "a charge was lost")
    runs = Run.objects.filter(project__team__in=accounts, cost_nano__gt=0)
    for prompt, completion, cost_nano in runs.values_list("prompt_tokens", "delivered_tokens", "cost_nano"):
        must(cost_nano == prompt * INPUT_NANO + completion * OUTPUT_NANO, "a charge is not that of its tokens")
    costs = dict(runs.values_list("id", "cost_nano"))
    must({run: -amount for run, amount in charges.items()} == costs, "the charges are not those of the runs")
    missing = seen.answered - charges.keys()
    must(not missing, f"{len(missing)} answers that came to their end were not charged")
    # What broke off after its first token was charged for what was delivered, and its key stands for that.
    whole = Run.objects.filter(project=callers.once.project, ending__in=[Run.Ending.STOP, Run.Ending.LENGTH])
    charged_once = set(whole.values_list("id", flat=True))
    must(not seen.pending, f"{len(seen.pending)} repeated requests got no answer")
    must(charged_once == set(seen.once.values()), f"{len(charged_once)} runs were charged for {len(seen.once)} keys")
    return f"{len(charges)} charges, one for each of {len(seen.answered)} answers that came to their end and no other's"


def grown(settled_mib: dict[int, float]) -> list[str]:
    """Describe the web processes that have more of the memory now than they had, by process id, once they served."""
    found = []
    for pid, before in settled_mib.items():
        with suppress(psutil.NoSuchProcess):
            now = memory_mib(psutil.Process(pid))
            if now > before * MOST_GROWTH:
                found.append(f"{before:.0f} → {now:.0f} MiB")
    return found


def memory_mib(process: psutil.Process) -> float:
    """Return what a web process has of the machine's memory."""
    return float(process.memory_info().rss) / MIB


def _is_free(account_id: int) -> bool:
    ledger.touch(account_id)
    is_held = Hold.objects.filter(account=account_id, state=Hold.State.OPEN).exists()
    return not is_held and Account.objects.get(pk=account_id).held_nano == 0
