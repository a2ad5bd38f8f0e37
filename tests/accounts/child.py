"""Another process that remembers a key: ``python -m tests.accounts.child SECRET``.

Prints ``remembered`` once answers come without a query, and, once the key is refused, when that was.
"""

import sys
import time

import django


def main(secret: str) -> None:
    """Use the key until it stops working."""
    django.setup()
    from accounts import keys
    from tests.accounts.scenes import eventually, outcome, until_remembered

    until_remembered(lambda: keys.authenticate(secret, None))
    print("remembered", flush=True)
    eventually(lambda: outcome(lambda: keys.authenticate(secret, None)) is not None, seconds=20)
    print(time.time(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
