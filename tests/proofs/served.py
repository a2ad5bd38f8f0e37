"""The proofs through web processes, for ``manage.py prove --also tests.proofs.served``."""

import logging

from proofs.run import Proof
from tests.proofs import killing, many_requests


def proofs() -> list[Proof]:
    """Return them, as ``proofs.run`` wants them."""
    # A line for each of thousands of requests would hide the proofs' own.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    return [
        Proof("web-balance", "The same ten answers over HTTP", many_requests.balance_for_ten, 1, 100),
        Proof("web-budgets", "Budgets for ten answers over HTTP", many_requests.budgets_for_ten, 3, 99),
        Proof("web-processes", "Ten answers from four web processes", many_requests.processes_for_ten, 1, 100),
        Proof("web-killing", "A web process killed under load", killing.killed_under_load, 3, 100),
    ]
