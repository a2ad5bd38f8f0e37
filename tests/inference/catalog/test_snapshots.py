"""The models that can be called, as the hot path sees them."""

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from inference.billing.pricing import Rates
from inference.billing.prompt import Overhead
from inference.catalog.snapshots import EndpointSnapshot, ModelSnapshot
from inference.errors import ModelNotFound
from inference.models import Endpoint, Model, Price
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import MODEL
from tests.patience import eventually
from tests.runtimes import runtime

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]


async def test_a_model_is_found_with_its_price_and_its_endpoints(tgi: FakeTgi) -> None:
    model = await runtime().catalog.find(MODEL)
    assert [endpoint.base_url for endpoint in model.endpoints] == [tgi.url]
    assert model.rates().input_microcredits_per_mtok == 200_000


async def test_a_retired_and_an_unknown_model_are_not_found(tgi: FakeTgi) -> None:
    await Model.objects.aupdate(lifecycle=Model.Lifecycle.RETIRED)
    for model_id in (MODEL, "no/such", "", "\x00"):
        with pytest.raises(ModelNotFound):
            await runtime().catalog.find(model_id)


async def test_an_endpoint_that_is_off_is_not_used(tgi: FakeTgi) -> None:
    await Endpoint.objects.aupdate(is_enabled=False)
    assert (await runtime().catalog.find(MODEL)).endpoints == ()


async def test_a_future_price_counts_from_its_moment_on(tgi: FakeTgi) -> None:
    await runtime().catalog.find(MODEL)
    soon = timezone.now() + timedelta(seconds=0.7)
    fields = {f"{name}_microcredits_per_mtok": 1 for name in ("input", "output", "cached_input")}
    price = await Price.objects.acreate(model_id=MODEL, starts_at=soon, **fields)

    async def is_in_force() -> bool:
        return (await runtime().catalog.find(MODEL)).rates().price_id == price.pk

    await eventually(is_in_force, 2)
    assert timezone.now() >= soon


async def test_no_query_is_made_for_a_model_that_is_remembered(tgi: FakeTgi) -> None:
    async def is_remembered() -> bool:
        return await runtime().catalog.find(MODEL) is await runtime().catalog.find(MODEL)

    await eventually(is_remembered)


def test_a_credential_does_not_show() -> None:
    endpoint = EndpointSnapshot(1, "tgi", "http://engine", "engine-secret", "tgi", 4)
    model = ModelSnapshot("a/b", 100, Overhead(10, 10, 10, None), (endpoint,), ())
    for shown in (repr(endpoint), str(endpoint), repr(model), f"{model}"):
        assert "engine-secret" not in shown


def test_a_model_without_a_price_in_force_is_not_found() -> None:
    future = Rates(1, time.time() + 60, 1, 1, 1)
    for prices in ((), (future,)):
        with pytest.raises(ModelNotFound):
            ModelSnapshot("a/b", 100, Overhead(10, 10, 10, None), (), prices).rates()
