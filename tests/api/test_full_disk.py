"""A disk that is full: requests are refused as long as nothing can be charged, and then served again."""

import httpx2
import pytest

from accounts.models import Team
from tests.api.scenes import body
from tests.credits.unwritable import unwritable
from tests.fakes.tgi import FakeTgi
from tests.patience import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]


def test_requests_are_503_without_a_traceback_until_there_is_room(
    raw: httpx2.Client, tgi: FakeTgi, funded: Team, caplog: pytest.LogCaptureFixture
) -> None:
    assert raw.post("/v1/chat/completions", json=body()).status_code == 200
    with unwritable() as disk:
        for stream in (False, True):
            refused = raw.post("/v1/chat/completions", json=body(stream=stream))
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "ledger_unavailable")
            assert refused.headers["retry-after"]
        assert not any(record.exc_info for record in caplog.records)
        disk.make_room()
        until(lambda: raw.post("/v1/chat/completions", json=body()).status_code == 200)
