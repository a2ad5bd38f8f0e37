"""Another web process' mailer: ``python -m tests.console.child`` sends alerts until its standard input ends."""

import os
import sys


def main() -> None:
    """Start, say so, and go on until told to end."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from console.alerts import mailer

    mailer.start()
    print("ready", flush=True)
    sys.stdin.read()
    mailer.stop()


if __name__ == "__main__":
    main()
