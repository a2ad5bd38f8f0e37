"""The cards tell whether a model would answer now."""

import asyncio
import re

import pytest

from inference.models import MODALITIES, Endpoint, Model, Price
from inference.routing import health
from playground.pages import catalog
from tests.fakes.server import Connection, FakeServer, Request
from tests.fakes.tgi import FakeTgi
from tests.patience import PATIENCE_SECONDS, Stopwatch
from tests.playground.cast import MODEL, Cast, browser

pytestmark = pytest.mark.django_db(transaction=True)


def shown() -> str:
    card = catalog.card(MODEL)
    assert card
    assert card in catalog.cards()
    return str(card["health"])


def test_a_model_is_up_while_one_of_its_endpoints_answers(tgi: FakeTgi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", PATIENCE_SECONDS)
    Endpoint.objects.create(model_id=MODEL, kind=Endpoint.Kind.TGI, base_url="http://127.0.0.1:9")
    assert shown() == "up"


def test_a_model_without_a_working_endpoint_is_down(tgi: FakeTgi) -> None:
    Endpoint.objects.update(is_enabled=False)
    assert shown() == "down"
    Endpoint.objects.update(is_enabled=True, base_url="http://127.0.0.1:9")
    assert shown() == "down"


def refused() -> list[str]:
    card = catalog.card(MODEL)
    assert card
    return list(card["refused"])


def test_a_card_names_the_parameters_that_its_servers_refuse(tgi: FakeTgi) -> None:
    assert refused() == ["presence_penalty", "response_format"]


def test_one_server_that_refuses_a_parameter_is_enough_and_one_that_is_switched_off_does_not_count(
    tgi: FakeTgi,
) -> None:
    Endpoint.objects.create(model_id=MODEL, kind=Endpoint.Kind.LLAMACPP, base_url="http://127.0.0.1:9")
    assert refused() == ["presence_penalty", "response_format"]
    Endpoint.objects.filter(kind=Endpoint.Kind.TGI).update(is_enabled=False)
    assert refused() == []


def test_the_newest_comes_first_by_its_release_or_else_by_the_day_it_came(tgi: FakeTgi) -> None:
    for name, released in (("old/one", "2020-01-01"), ("coming/one", "2199-01-01")):
        model = Model.objects.create(id=name, name=name, context_tokens=1, modalities=["text"], released_on=released)
        Price.objects.create(
            model=model,
            input_microcredits_per_mtok=1,
            output_microcredits_per_mtok=1,
            cached_input_microcredits_per_mtok=1,
        )
    assert [card["id"] for card in catalog.cards()] == ["coming/one", MODEL, "old/one"]


def test_each_filter_is_a_modality_that_a_model_can_have(cast: Cast, tgi: FakeTgi) -> None:
    page = browser(cast.member).get("/").content.decode()
    filters = set(re.findall(r'data-modality="(\w+)"', page))
    assert filters == {"text", "image", "embedding"}
    assert filters <= set(MODALITIES)


class SilentServer(FakeServer):
    """Takes requests, and never answers."""

    async def answer(self, request: Request, connection: Connection) -> None:
        await asyncio.sleep(3600)


def test_an_endpoint_that_hangs_keeps_the_page_for_a_moment_only(tgi: FakeTgi) -> None:
    with SilentServer() as server:
        Endpoint.objects.update(base_url=server.url)
        with Stopwatch() as watch:
            card = catalog.card(MODEL)
        assert card
        assert card["health"] == "down"
        assert watch.seconds < health.CHECK_SECONDS + 1
