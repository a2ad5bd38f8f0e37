"""Every proof, in order: ``python -m proofs.run reduced|full [NAME…]``, in a scratch database only.

Prints a line of JSON for each proof when it has ended. ``--also MODULE`` adds that module's own ``proofs()``.
"""

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Final, NamedTuple


class Proof(NamedTuple):
    """What is proved, by what, and how often it is repeated at either scale."""

    name: str
    title: str
    prove: Callable[[int], str]
    reduced: int
    full: int


@dataclass(frozen=True)
class Finding:
    """What came of a proof: a sentence, and whether the ledger kept its promise."""

    title: str
    is_proved: bool
    sentence: str
    seconds: float


def proofs(also: Sequence[str] = ()) -> list[Proof]:
    """Return the ledger's proofs and those of the modules; late, because they need Django's models."""
    from proofs import concurrent, killing, outage, random_operations, tampering

    ours = [
        Proof("balance", "A balance for exactly ten answers", concurrent.balance_for_ten, 2, 100),
        Proof("budgets", "Budgets for exactly ten answers", concurrent.budgets_for_ten, 3, 99),
        Proof("processes", "The same from four processes", concurrent.processes_for_ten, 2, 100),
        Proof("months", "One grant for a month, from four processes", concurrent.monthly_grants, 3, 100),
        Proof(
            "reference", "Random operations against a reference model", random_operations.never_diverges, 4_000, 100_000
        ),
        Proof("killing", "Processes killed under load", killing.killed_under_load, 2, 100),
        Proof("outage", "Settlements while the database takes none", outage.charged_after_an_outage, 1, 20),
        Proof("tampering", "Entries tampered with", tampering.tampered_entries, 1, 20),
    ]
    return [*ours, *(proof for module in also for proof in import_module(module).proofs())]


DISPROVED_STATUS: Final = 1


def main() -> int:
    """Run the proofs, or those that are named, and print what came of each; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scale", choices=["reduced", "full"])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--also", action="append", default=[])
    arguments = parser.parse_args()
    import django

    django.setup()
    from django.core.management import call_command

    from credits import ledger
    from proofs.scratch import is_scratch

    if not is_scratch():
        raise SystemExit("proofs run in a scratch database only: use `manage.py prove`")
    call_command("migrate", verbosity=0)
    status = 0
    names = arguments.names
    chosen = [proof for proof in proofs(arguments.also) if proof.name in names or not names]
    for proof in chosen:
        finding = _finding(proof, proof.full if arguments.scale == "full" else proof.reduced)
        print(json.dumps(asdict(finding)), flush=True)
        status = status if finding.is_proved else DISPROVED_STATUS
    ledger.close()
    return status


def _finding(proof: Proof, times: int) -> Finding:
    started_at = time.monotonic()
    try:
        sentence, is_proved = proof.prove(times), True
    except Exception as error:  # noqa: BLE001 - whatever ends a proof early is what its report must say
        traceback.print_exc(file=sys.stderr)
        sentence, is_proved = f"{type(error).__name__}: {error}", False
    return Finding(proof.title, is_proved, sentence, round(time.monotonic() - started_at, 1))


if __name__ == "__main__":
    sys.exit(main())
