"""The list of models, and one of them."""

from datetime import timedelta

import httpx2
import openai
import pytest
from django.utils import timezone
from openai import OpenAI

from accounts.models import Team
from inference.models import Model, Price
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import CONTEXT_TOKENS, MODEL

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]


def test_the_list_names_every_model_that_can_be_called(client: OpenAI, tgi: FakeTgi) -> None:
    models = list(client.models.list())
    assert [(model.id, model.object, model.owned_by) for model in models] == [(MODEL, "model", "fable")]
    assert models[0].created > 1_700_000_000


def test_a_model_tells_its_limits_and_its_price(raw: httpx2.Client, tgi: FakeTgi) -> None:
    (model,) = raw.get("/v1/models").json()["data"]
    assert model["context_length"] == CONTEXT_TOKENS
    assert (model["modalities"], model["features"]) == (["text"], ["tools"])
    assert model["pricing"] == {
        "currency": "USD",
        "unit": "per_million_tokens",
        "input": "0.2",
        "output": "0.6",
        "cached_input": "0.1",
    }


def test_a_model_is_found_by_an_id_with_a_slash(client: OpenAI, raw: httpx2.Client, tgi: FakeTgi) -> None:
    assert client.models.retrieve(MODEL).id == MODEL
    for path in ("/v1/models/fable/fox-1b", "/v1/models/fable%2Ffox-1b"):
        assert raw.get(path).json()["id"] == MODEL


def test_a_model_without_a_price_in_force_cannot_be_called_or_seen(
    client: OpenAI, raw: httpx2.Client, tgi: FakeTgi
) -> None:
    Model.objects.create(id="free/lunch", name="Lunch", context_tokens=10)
    later = timezone.now() + timedelta(hours=1)
    rates = dict.fromkeys(("input", "output", "cached_input"), 1)
    Model.objects.create(id="free/dinner", name="Dinner", context_tokens=10).prices.create(
        starts_at=later, **{f"{name}_microcredits_per_mtok": rate for name, rate in rates.items()}
    )
    assert [model.id for model in client.models.list()] == [MODEL]
    for model_id in ("free/lunch", "free/dinner"):
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve(model_id)
        with pytest.raises(openai.NotFoundError) as raised:
            client.chat.completions.create(model=model_id, messages=[{"role": "user", "content": "hello"}])
        assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


def test_the_price_in_force_is_the_latest_that_has_started(raw: httpx2.Client, tgi: FakeTgi) -> None:
    now = timezone.now()
    for hours, price in ((-1, 300_000), (1, 900_000)):
        Price.objects.create(
            model_id=MODEL,
            starts_at=now + timedelta(hours=hours),
            input_microcredits_per_mtok=price,
            output_microcredits_per_mtok=price,
            cached_input_microcredits_per_mtok=0,
        )
    assert raw.get(f"/v1/models/{MODEL}").json()["pricing"]["input"] == "0.2"
    Price.objects.filter(input_microcredits_per_mtok=900_000).update(starts_at=timezone.now())
    assert raw.get(f"/v1/models/{MODEL}").json()["pricing"]["input"] == "0.9"


@pytest.mark.parametrize(
    "model_id", ["nobody/knows", "%00", "a%00b", "a/", "%F0%28%8C%28", "..%2f..%2fetc", "x" * 5000, "'%20OR%201=1"]
)
def test_a_model_that_is_not_there_is_not_found(raw: httpx2.Client, tgi: FakeTgi, model_id: str) -> None:
    response = raw.get(f"/v1/models/{model_id}")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")
    assert response.headers["x-request-id"].startswith("req_")


def test_anthropics_clients_get_their_own_list(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    raw.headers["anthropic-version"] = "2023-06-01"
    listed = raw.get("/v1/models?limit=1000").json()
    (model,) = listed["data"]
    assert (model["type"], model["id"], model["display_name"]) == ("model", "anthropic--fable--fox-1b", "Fox")
    assert (listed["has_more"], listed["first_id"], listed["last_id"]) == (False, model["id"], model["id"])
    for name in (model["id"], MODEL):
        assert raw.get(f"/v1/models/{name}").json() == model
    assert raw.get("/v1/models/anthropic--no--such").status_code == 404
    for name in (model["id"], "fable--fox-1b", MODEL):
        asked = {"model": name, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
        answer = raw.post("/v1/messages", json=asked)
        assert (answer.status_code, answer.json()["model"]) == (200, name)


def test_codex_finds_nothing_of_its_own_kind(raw: httpx2.Client, tgi: FakeTgi) -> None:
    listed = raw.get("/v1/models?client_version=0.171.0").json()
    assert listed["models"] == []
    assert [model["id"] for model in listed["data"]] == [MODEL]
