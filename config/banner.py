"""What ``serve`` prints once it can be reached."""

from django.conf import settings
from django.db import connection

from config import demo
from web import snippets


def text(has_engine: bool) -> str:
    """Say where to go, how to sign in, and what to paste."""
    lines = ["", f"Parley is ready: {settings.PUBLIC_URL}", ""]
    login = demo.live_login()
    made = demo.take_unshown()
    if made:
        if login == made["admin"]["email"]:
            lines += [f"  Sign in   {login}  {made['admin']['password']}"]
        if demo.key_is_live(made):
            lines += [f"  API key   {made['api_key']}", f"  Project   {made['project']}", ""]
            if has_engine:
                lines += ["Try it:", "", curl(made), ""]
            lines += ["These are shown this once. `manage.py bootstrap --json` prints them again.", ""]
    elif login:
        lines += [f"  Sign in   {login}, with the password that `manage.py bootstrap --json` prints", ""]
    if settings.WORKERS > 1:
        lines += [f"{settings.WORKERS} web processes serve it.{_advice()}"]
    return "\n".join([*lines, "Ctrl-C ends it."])


def _advice() -> str:
    """Say what several processes want of the database."""
    if connection.vendor != "sqlite":
        return ""
    return " On SQLite they wait for each other to write: PostgreSQL (DATABASE_URL) suits them better."


def curl(made: demo.Demo) -> str:
    """Return a command that streams an answer when pasted into a shell."""
    return snippets.curl(snippets.greeting(made["model"]), made["project"], made["api_key"])
