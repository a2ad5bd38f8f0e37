"""What is set up for the browser tests, and what became of it."""

import sqlite3
from contextlib import closing

from tests.fakes.script import Script
from tests.fakes.server import Request
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import cost_nano
from tests.site import Site

FAKE_MODEL = "fable/fox-1b"
# A team that never got any credits.
EMPTY_TEAM = "penniless"
# Long enough for a page to come back on a busy machine.
GRACE_SECONDS = 5


def asked(tgi: FakeTgi) -> list[Request]:
    """Return the requests for an answer that the fake got."""
    return [request for request in tgi.requests if request.path == "/v1/chat/completions"]


def words(count: int) -> list[str]:
    """Return tokens that tell their own place, so that a gap or a double shows."""
    return [f" w{number}" if number else "w0" for number in range(count)]


def charged_nano(site: Site, run: str) -> int:
    """Return what the ledger charged for a run, in nano-credits."""
    with closing(sqlite3.connect(f"file:{site.folder}/parley.sqlite3?mode=ro", uri=True)) as database:
        query = "SELECT -SUM(amount_nano) FROM credits_entry WHERE run = ? AND kind = 'charge'"
        return int(database.execute(query, [run]).fetchone()[0] or 0)


def cost_of(request: Request, completion_tokens: int) -> int:
    """Return what so many tokens of the fake's answer cost, in nano-credits."""
    return cost_nano(completion_tokens, request.json["messages"])


def long_script() -> Script:
    """Return a script of an answer that lasts longer than any test."""
    return Script(answer=words(3_000), between=0.02)
