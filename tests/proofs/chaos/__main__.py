"""``python -m tests.proofs.chaos [--minutes 10] [--seed 7]``: trouble at random, then the audit and a report."""

import argparse
import random
import sys

from tests.proofs.chaos.site import Site


def main() -> int:
    """Run, print the report, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", default="", help="faults whose name has this in it")
    arguments = parser.parse_args()
    with Site() as site:
        site.connect()
        # Models can be imported only when there is a database to connect to.
        from tests.proofs.chaos.course import Course

        return Course(site, random.Random(arguments.seed), arguments.only).run(arguments.minutes * 60)


if __name__ == "__main__":
    sys.exit(main())
