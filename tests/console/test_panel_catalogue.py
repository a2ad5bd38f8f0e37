"""Models, prices and endpoints in the panel: a price is never changed, a credential never shown."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from inference.models import Endpoint, Model, Price
from tests.console.scenes import MODEL, model


@pytest.mark.django_db
def test_a_price_is_added_in_dollars_and_starts_now_or_later(panel: Client) -> None:
    model()
    add = reverse("admin:inference_price_add")
    start = timezone.now()
    values = {"model": MODEL, "input_dollars": "0.71", "output_dollars": "2", "starts_at": f"{start:%Y-%m-%dT%H:%M}"}
    assert panel.post(add, values).status_code == 302
    price = Price.objects.latest()
    assert price.input_microcredits_per_mtok == price.cached_input_microcredits_per_mtok == 710_000
    assert price.output_microcredits_per_mtok == 2_000_000
    later = start + timedelta(days=3)
    for fields in ({"input_dollars": "-1"}, {"output_dollars": "1e5"}, {"input_dollars": "0.0000001"}):
        assert panel.post(add, values | {"starts_at": f"{later:%Y-%m-%dT%H:%M}"} | fields).status_code == 200
    assert "A price starts now or later" in panel.post(add, values | {"starts_at": "2020-01-01T00:00"}).content.decode()
    assert Price.objects.count() == 2


Enter = Callable[..., Client]


@pytest.mark.django_db
def test_a_credential_is_written_and_never_shown(enter: Enter, panel: Client) -> None:
    values = {"model": model().pk, "kind": "tgi", "base_url": "http://127.0.0.1:9/v1/", "concurrency": "4"}
    panel.post(reverse("admin:inference_endpoint_add"), values | {"credential": "hush-hush", "is_enabled": "on"})
    endpoint = Endpoint.objects.get()
    assert (endpoint.base_url, endpoint.credential) == ("http://127.0.0.1:9", "hush-hush")
    change = reverse("admin:inference_endpoint_change", args=[endpoint.pk])
    looker = enter("view_endpoint")
    for client in (panel, looker):
        for address in (change, reverse("admin:inference_endpoint_changelist"), "/admin/"):
            assert "hush-hush" not in client.get(address).content.decode()
    same = values | {"base_url": endpoint.base_url}
    panel.post(change, same | {"concurrency": "5"})
    endpoint.refresh_from_db()
    assert (endpoint.credential, endpoint.concurrency, endpoint.is_enabled) == ("hush-hush", 5, False)
    panel.post(change, same | {"base_url": "http://127.0.0.1:10"})
    endpoint.refresh_from_db()
    assert endpoint.credential == "", "another server must not be handed it"


@pytest.mark.django_db
def test_a_kept_credential_can_be_forgotten(panel: Client) -> None:
    endpoint = Endpoint.objects.create(model=model(), kind="tgi", base_url="http://127.0.0.1:9", credential="hush-hush")
    values = {
        "model": MODEL,
        "kind": "tgi",
        "base_url": endpoint.base_url,
        "concurrency": "4",
        "forget_credential": "on",
    }
    panel.post(reverse("admin:inference_endpoint_change", args=[endpoint.pk]), values)
    endpoint.refresh_from_db()
    assert endpoint.credential == ""


@pytest.mark.django_db
@pytest.mark.parametrize(
    "address", ["ftp://host", "http://user:key@host", "http://host?x=1", "javascript:alert(1)", "host"]
)
def test_an_endpoint_is_a_plain_address(panel: Client, address: str) -> None:
    values = {"model": model().pk, "kind": "tgi", "base_url": address, "concurrency": "4"}
    assert panel.post(reverse("admin:inference_endpoint_add"), values).status_code == 200
    assert not Endpoint.objects.exists()


@pytest.mark.django_db
def test_a_model_is_added_with_boxes_and_keeps_what_the_hub_called_otherwise(panel: Client) -> None:
    values = {
        "id": "fable/owl",
        "name": "Owl",
        "context_tokens": "4096",
        "template_tokens": "8",
        "lifecycle": "available",
    }
    empty = {f"{rows}-{form}_FORMS": "0" for rows in ("prices", "endpoints") for form in ("TOTAL", "INITIAL")}
    response = panel.post(reverse("admin:inference_model_add"), values | empty | {"modalities": ["text", "image"]})
    assert response.status_code == 302
    owl = Model.objects.get(pk="fable/owl")
    assert (owl.modalities, owl.features) == (["text", "image"], [])
    Model.objects.update(features=["telepathy"])
    assert "telepathy" in panel.get(reverse("admin:inference_model_change", args=["fable/owl"])).content.decode()


@pytest.mark.django_db
def test_endpoints_are_switched_off_and_on_by_action(panel: Client) -> None:
    endpoint = Endpoint.objects.create(model=model(), kind="tgi", base_url="http://127.0.0.1:9")
    for action, is_enabled in (("disable", False), ("enable", True)):
        panel.post(
            reverse("admin:inference_endpoint_changelist"), {"action": action, "_selected_action": str(endpoint.pk)}
        )
        endpoint.refresh_from_db()
        assert endpoint.is_enabled is is_enabled
