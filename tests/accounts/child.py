"""Another process that remembers a key: ``python -m tests.accounts.child SECRET``.

Prints ``remembered`` once answers come without a query. From the line on that says so, the key is to be refused within
a second.
"""

import sys

import django


def main(secret: str) -> None:
    """Use the key until it stops working. Raises AssertionError if it works for too long."""
    django.setup()
    from accounts import keys
    from tests.accounts.scenes import outcome, until_remembered
    from tests.patience import within

    until_remembered(lambda: keys.authenticate(secret, None))
    print("remembered", flush=True)
    sys.stdin.readline()
    within(1, lambda: outcome(lambda: keys.authenticate(secret, None)) is not None)


if __name__ == "__main__":
    main(sys.argv[1])
