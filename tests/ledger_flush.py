"""A pytest plugin for tests with ``transaction=True``: lets Django empty the database after them.

The ledger's triggers refuse to delete entries, to the flush at the end of such a test as well. They are dropped just
before it; the flush itself has them made again (it sends ``post_migrate``). The ledger's writer is stopped too, and
the thread of Django's async queries lets go: their connections would outlive the test database.
"""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _entries_can_be_flushed(request: pytest.FixtureRequest) -> Iterator[None]:
    marker = request.node.get_closest_marker("django_db")
    by_marker = bool(marker and (marker.kwargs.get("transaction") or (marker.args and marker.args[0])))
    if not by_marker and not {"transactional_db", "live_server"} & set(request.fixturenames):
        yield
        return
    # Set up the database first, so that it is flushed after this fixture ends.
    request.getfixturevalue("transactional_db")
    yield
    from asgiref.sync import SyncToAsync
    from django.db import DEFAULT_DB_ALIAS, connections

    from credits import ledger
    from credits.ledger import triggers

    SyncToAsync.single_thread_executor.submit(connections.close_all).result()
    ledger.close()
    triggers.drop(DEFAULT_DB_ALIAS)
