"""What DATABASE_URL may be."""

from typing import Any

from environs import EnvError


def check_database(written: dict[str, Any]) -> None:
    """Refuse what the site cannot live on. Raises EnvError, without repeating the password."""
    kind = written["ENGINE"].removeprefix("django.db.backends.")
    # Each thread has a connection of its own, and would have a memory of its own.
    is_memory = kind == "sqlite3" and ":memory:" in written["NAME"]
    has_name = written["NAME"] or "service" in written.get("OPTIONS", {})
    if kind not in ("sqlite3", "postgresql") or is_memory or not has_name:
        raise EnvError(
            'Environment variable "DATABASE_URL" is postgres://user:password@host:port/name or sqlite:////path/to/a/file'
        )
