"""The cards tell whether a model would answer now."""

import asyncio
import time

import pytest

from inference import health
from inference.models import Endpoint
from playground import catalogue
from tests.fakes.server import Connection, FakeServer, Request
from tests.fakes.tgi import FakeTgi
from tests.playground.cast import MODEL

pytestmark = pytest.mark.django_db(transaction=True)


def shown() -> str:
    card = catalogue.card(MODEL)
    assert card
    assert card in catalogue.cards()
    return str(card["health"])


def test_a_model_is_up_while_one_of_its_endpoints_answers(tgi: FakeTgi) -> None:
    Endpoint.objects.create(model_id=MODEL, kind=Endpoint.Kind.TGI, base_url="http://127.0.0.1:9")
    assert shown() == "up"


def test_a_model_without_a_working_endpoint_is_down(tgi: FakeTgi) -> None:
    Endpoint.objects.update(is_enabled=False)
    assert shown() == "down"
    Endpoint.objects.update(is_enabled=True, base_url="http://127.0.0.1:9")
    assert shown() == "down"


class SilentServer(FakeServer):
    """Takes requests, and never answers."""

    async def answer(self, request: Request, connection: Connection) -> None:
        await asyncio.sleep(3600)


def test_an_endpoint_that_hangs_keeps_the_page_for_a_moment_only(tgi: FakeTgi) -> None:
    with SilentServer() as server:
        Endpoint.objects.update(base_url=server.url)
        began = time.monotonic()
        assert shown() == "down"
        assert time.monotonic() - began < health.CHECK_SECONDS + 1
