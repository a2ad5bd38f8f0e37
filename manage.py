#!/usr/bin/env python
"""Parley's command line: every operator command starts here."""

import os
import sys


def main() -> None:
    """Run the command named on the command line against this project's settings."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line
    from django.db import OperationalError
    from environs import EnvError

    try:
        execute_from_command_line(sys.argv)
    except EnvError as error:
        # A setting that is wrong, not a fault of the program: its name and what it may be are all there is to say.
        sys.exit(f"Error: {error}")
    except OperationalError as error:
        if "--traceback" in sys.argv:
            raise
        # A database that is away, full or busy; how our code came to ask it is of no use to an operator.
        sys.exit(f"Error: the database refused: {' '.join(str(error).split())}")


if __name__ == "__main__":
    main()
