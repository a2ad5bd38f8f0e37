"""Runs a command against a PostgreSQL of its own: ``python -m tests.credits.on_postgresql manage.py prove …``.

Where PostgreSQL's programs are not installed, says so and succeeds.
"""

import os
import subprocess
import sys


def main(arguments: list[str]) -> int:
    """Run Python with the arguments; returns its exit status."""
    from tests.postgresql import PostgreSQL

    try:
        server = PostgreSQL()
    except RuntimeError as missing:
        print(f"Skipped: {missing}")
        return 0
    try:
        environment = os.environ | {"DATABASE_URL": server.url}
        return subprocess.run([sys.executable, *arguments], env=environment, check=False).returncode
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
