#!/usr/bin/env python
"""Parley's command line: every operator command starts here."""

import os
import sys


def main() -> None:
    """Run the command named on the command line against this project's settings."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
