"""What the commands that begin with the database share: patience with a server that is still starting."""

import time
from typing import Any, Final

from django.conf import settings
from django.core.management.base import CommandError, OutputWrapper
from django.db import Error as DatabaseError
from django.db import connection

LOOK_AGAIN_SECONDS: Final = 0.5


def wait_for_database(output: OutputWrapper) -> None:
    """Return when the database can be reached; where it has to wait, it says so at once, and why.

    A server is waited for DATABASE_WAIT_SECONDS, a file not at all. Raises CommandError.
    """
    is_file = connection.vendor == "sqlite"
    patience_seconds = 0 if is_file else settings.DATABASE_WAIT_SECONDS
    give_up_at = time.monotonic() + patience_seconds
    is_waiting = False
    while reason := _refusal():
        if time.monotonic() >= give_up_at:
            raise CommandError(f"The database {_place()} cannot be reached: {reason}")
        if not is_waiting:
            output.write(f"Waiting up to {patience_seconds:g} s for the database {_place()}: {reason}")
            output.flush()
            is_waiting = True
        time.sleep(LOOK_AGAIN_SECONDS)


def _refusal() -> str:
    """Connect once, outside the pool, which would keep the reason to itself; return why it failed, on one line."""
    driver: Any = connection.Database  # type: ignore[attr-defined]
    try:
        if connection.vendor == "sqlite":
            connection.ensure_connection()
        else:
            driver.connect(**connection.get_connection_params()).close()
    except (DatabaseError, driver.Error) as error:
        return " ".join(str(error).split())
    return ""


def _place() -> str:
    """Name the database, without its password."""
    where = connection.settings_dict
    if connection.vendor == "sqlite":
        return str(where["NAME"])
    return f"{where['NAME']} at {where['HOST'] or 'the local socket'}:{where['PORT'] or 5432}"
