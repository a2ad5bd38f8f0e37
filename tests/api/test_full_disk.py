"""A disk that is full: what is under way ends well, and is charged later; new requests are refused meanwhile."""

import threading
from pathlib import Path

import httpx2
import pytest
from pytest_django import Settings

from accounts.models import Team
from credits import ledger
from inference.models import Run
from tests.api.scenes import body, charges, events, the_run
from tests.credits.unwritable import unwritable
from tests.fakes.script import Script
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


def test_an_answer_that_ends_meanwhile_is_whole_and_charged_once_there_is_room(
    raw: httpx2.Client, tgi: FakeTgi, funded: Team, tmp_path: Path, settings: Settings
) -> None:
    settings.JOURNAL_DIR = tmp_path
    is_full = threading.Event()
    tgi.script = Script(silent_after=2, let_go=is_full)
    with raw.stream("POST", "/v1/chat/completions", json=body(stream=True)) as answer:
        lines = answer.iter_lines()
        begun = next(lines)
        with unwritable() as disk:
            ledger.keep_journal(tmp_path)
            is_full.set()
            rest = list(lines)
            assert events("\n".join([begun, *rest, ""]))[-1]
            until(lambda: raw.get("/readyz").json() == {"status": "ok", "settlements_waiting": 1})
            assert not Run.objects.exists()
            disk.make_room()
            until(Run.objects.exists)
    run = the_run()
    assert run.cost_nano > 0
    assert charges(funded) == [run.cost_nano]
