"""A site that was killed: its next start gives back what its runs held, and refuses nobody for it."""

import threading
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from credits.models import Account, Hold
from inference.models import ServingProcess
from tests.fakes.script import Script
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import HELLO
from tests.patience import PATIENCE_SECONDS, until
from tests.proofs.customers import SERVERS, customer, model_on, web

pytestmark = pytest.mark.django_db(transaction=True)

CENT_NANO = 10_000_000


def is_held(team_id: int) -> bool:
    return Hold.objects.filter(account=team_id, state=Hold.State.OPEN).exists()


@pytest.mark.parametrize("server", SERVERS)
def test_what_a_killed_process_held_is_free_at_its_next_start(tmp_path: Path, server: str) -> None:
    who = customer(CENT_NANO)
    with FakeTgi(Script(endless=True, between=0.02)) as engine:
        model = model_on(engine)
        process = web(tmp_path, server).start()
        began = threading.Event()

        def stream(url: str) -> None:
            headers = {"authorization": f"Bearer {who.secret}"}
            body = {"model": model, "messages": HELLO, "stream": True, "max_tokens": 100}
            with (
                suppress(httpx2.TransportError),
                httpx2.stream("POST", f"{url}/v1/chat/completions", json=body, headers=headers) as answer,
            ):
                for _ in answer.iter_lines():
                    began.set()

        reader = threading.Thread(target=stream, args=(process.url,))
        reader.start()
        try:
            assert began.wait(PATIENCE_SECONDS)
            assert is_held(who.team.pk)
        finally:
            process.kill()
            reader.join()
        assert is_held(who.team.pk)
        with web(tmp_path, server):
            assert not is_held(who.team.pk)
            assert Account.objects.get(pk=who.team.pk).available_nano == CENT_NANO
            assert ServingProcess.objects.count() == 1
    until(lambda: not ServingProcess.objects.exists())
