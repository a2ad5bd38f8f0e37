"""What the ledger took for runs, as receipts say it: read from its entries, so that no receipt can differ from them."""

from collections.abc import Collection
from dataclasses import dataclass

from credits.models import Entry


@dataclass(frozen=True, slots=True)
class Charge:
    """What a run's entry says, in nano-credits; charged + lost = cost. A run that cost nothing has no entry."""

    charged_nano: int = 0
    lost_nano: int = 0


def charges_of(runs: Collection[str]) -> dict[str, Charge]:
    """Return the charges of those of the runs that have one."""
    # By its kind too, because only charges are indexed by their run.
    entries = Entry.objects.filter(kind=Entry.Kind.CHARGE, run__in=runs)
    return {
        run: Charge(-amount_nano, lost_nano)
        for run, amount_nano, lost_nano in entries.values_list("run", "amount_nano", "lost_nano")
    }
