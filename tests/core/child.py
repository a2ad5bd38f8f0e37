"""A child process for the tests of the supervisor; its orders are ``say``, ``chatter``, ``exit_code``, ``ignore``."""

import json
import os
import signal
import sys
import threading

from core.supervised import Parent


def main() -> None:
    """Do what the order says."""
    parent = Parent()
    order = json.loads(parent.order())
    parent.end_with(lambda: os._exit(7))
    if order.get("ignore"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "chatter" in order:
        print(order["chatter"], flush=True)
    if "exit_code" in order:
        sys.exit(order["exit_code"])
    if "say" in order:
        parent.tell(" ".join([order["say"], *sys.argv[1:]]))
    threading.Event().wait()


if __name__ == "__main__":
    main()
