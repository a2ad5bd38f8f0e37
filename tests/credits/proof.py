"""How often a proof runs: ``PROOF_SCALE`` is 1 for the full count, 0 or unset for the reduced one."""

import os


def proof_count(reduced: int, full: int) -> int:
    """Return the number of repetitions for this run."""
    return max(reduced, round(full * float(os.environ.get("PROOF_SCALE", "0"))))
