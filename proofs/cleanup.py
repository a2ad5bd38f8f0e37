"""Clears up when its parent has ended, however that ended: ``python -m proofs.cleanup NAME``.

Each line of its standard input is a group of processes that ends with the parent; the end of it is the parent's end.
"""

import os
import signal
import sys
from contextlib import suppress


def main(name: str) -> None:
    """Wait, end the processes that are left, and remove the scratch database."""
    groups = [int(line) for line in sys.stdin]
    for group in groups:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    # Late: it is only needed at the end.
    import django

    django.setup()
    from proofs.scratch import remove

    remove(name)


if __name__ == "__main__":
    main(sys.argv[1])
