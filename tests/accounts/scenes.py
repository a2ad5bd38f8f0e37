"""What the tests of identity do again and again."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.errors import IdentityError
from tests.patience import until

ROOT = Path(__file__).resolve().parents[2]


def outcome(ask: Callable[[], object]) -> type[IdentityError] | None:
    """Ask once; return why it was refused, or None."""
    try:
        ask()
    except IdentityError as error:
        return type(error)
    return None


def until_remembered(ask: Callable[[], object]) -> None:
    """Ask until the answer comes from memory, without a query."""
    until(lambda: queries(ask) == 0)


def queries(ask: Callable[[], object]) -> int:
    """Count the queries that one question costs, whatever the answer."""
    with CaptureQueriesContext(connection) as captured:
        outcome(ask)
    return len(captured)


def environment() -> dict[str, str]:
    """Return what another process needs to use the test's own database."""
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        url = f"sqlite:///{settings['NAME']}"
    else:
        url = f"postgres://{settings['USER']}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"
    return os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "config.settings"}


def manage(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``manage.py`` as an operator would."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
