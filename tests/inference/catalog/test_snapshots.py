"""The models that can be called, as the hot path sees them."""

import time
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from core import changes
from inference.billing.pricing import Rates
from inference.billing.prompt import Overhead
from inference.catalog.snapshots import TOPIC, EndpointSnapshot, ModelSnapshot
from inference.errors import ModelNotFound
from inference.models import Alias, Endpoint, Model, Price
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import MODEL
from tests.patience import eventually
from tests.runtimes import runtime

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]


async def found() -> ModelSnapshot:
    ((model, weight),) = await runtime().catalog.find(MODEL)
    assert weight is None
    return model


async def test_a_model_is_found_with_its_price_and_its_endpoints(tgi: FakeTgi) -> None:
    model = await found()
    assert [endpoint.base_url for endpoint in model.endpoints] == [tgi.url]
    assert model.rates().input_microcredits_per_mtok == 200_000


async def test_a_retired_and_an_unknown_model_are_not_found(tgi: FakeTgi) -> None:
    await Model.objects.aupdate(lifecycle=Model.Lifecycle.RETIRED)
    for model_id in (MODEL, "no/such", "", "\x00"):
        with pytest.raises(ModelNotFound):
            await runtime().catalog.find(model_id)


async def test_a_retired_model_is_replaced_up_to_a_day(tgi: FakeTgi) -> None:
    today = timezone.now().date()
    await Model.objects.acreate(
        id="old/fox", name="Old", context_tokens=8, lifecycle=Model.Lifecycle.RETIRED, replacement_id=MODEL
    )
    with pytest.raises(ModelNotFound):
        await runtime().catalog.find("old/fox")
    await Model.objects.filter(pk="old/fox").aupdate(replaced_until=today + timedelta(days=1))
    await sync_to_async(changes.touch)(TOPIC)
    assert [target.model.id for target in await runtime().catalog.find("old/fox")] == [MODEL]
    await Model.objects.filter(pk="old/fox").aupdate(replaced_until=today - timedelta(days=1))
    await sync_to_async(changes.touch)(TOPIC)
    with pytest.raises(ModelNotFound):
        await runtime().catalog.find("old/fox")


async def test_an_alias_stands_for_those_of_its_models_that_are_not_retired(tgi: FakeTgi) -> None:
    retired = Model.Lifecycle.RETIRED
    await Model.objects.acreate(id="old/fox", name="Old", context_tokens=8, lifecycle=retired)
    targets: list[dict[str, str | int | None]] = [{"model": "old/fox", "weight": 9}, {"model": MODEL, "weight": None}]
    await Alias.objects.acreate(name="fast", targets=targets)
    assert [(target.model.id, target.weight) for target in await runtime().catalog.find("fast")] == [(MODEL, None)]
    assert await runtime().catalog.has("fast")
    await Model.objects.aupdate(lifecycle=retired)
    await sync_to_async(changes.touch)(TOPIC)
    with pytest.raises(ModelNotFound):
        await runtime().catalog.find("fast")


async def test_an_endpoint_that_is_off_is_not_used(tgi: FakeTgi) -> None:
    await Endpoint.objects.aupdate(is_enabled=False)
    assert (await found()).endpoints == ()


async def test_a_future_price_counts_from_its_moment_on(tgi: FakeTgi) -> None:
    await found()
    soon = timezone.now() + timedelta(seconds=0.7)
    fields = {f"{name}_microcredits_per_mtok": 1 for name in ("input", "output", "cached_input")}
    price = await Price.objects.acreate(model_id=MODEL, starts_at=soon, **fields)

    async def is_in_force() -> bool:
        return (await found()).rates().price_id == price.pk

    await eventually(is_in_force, 2)
    assert timezone.now() >= soon


async def test_no_query_is_made_for_a_model_that_is_remembered(tgi: FakeTgi) -> None:
    async def is_remembered() -> bool:
        return await found() is await found()

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
