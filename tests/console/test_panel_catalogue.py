"""Models, prices and endpoints in the panel: a price is never changed, a credential never shown."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from inference.admin.forms import PRICE_LEAD, REPLACED_FOR
from inference.models import Alias, Endpoint, Model, Price
from tests.console.scenes import MODEL, model, read


@pytest.mark.django_db
def test_a_price_is_added_in_dollars_and_starts_in_the_future(panel: Client) -> None:
    model()
    add = reverse("admin:inference_price_add")
    before = timezone.now()
    values = {"model": MODEL, "input_dollars": "0.71", "output_dollars": "2", "starts_at": ""}
    assert panel.post(add, values).status_code == 302
    price = Price.objects.latest()
    assert price.input_microcredits_per_mtok == price.cached_input_microcredits_per_mtok == 710_000
    assert price.output_microcredits_per_mtok == 2_000_000
    # At once means: when every process has heard of it.
    assert before + PRICE_LEAD <= price.starts_at <= timezone.now() + PRICE_LEAD
    later = f"{before + timedelta(days=3):%Y-%m-%dT%H:%M}"
    impossible: list[dict[str, str]] = [
        *({"input_dollars": written} for written in ("-1", "0.0000001", "NaN", "inf", "", "True", "1001", "9" * 20)),
        {"output_dollars": "1e5"},
        {"cached_input_dollars": "-0.01"},
        {"starts_at": "9999-01-01T00:00"},
        {"starts_at": "soon"},
    ]
    for fields in impossible:
        assert (fields, panel.post(add, {**values, "starts_at": later, **fields}).status_code) == (fields, 200)
    assert Price.objects.count() == 2
    assert panel.post(add, values | {"starts_at": later}).status_code == 302


@pytest.mark.django_db
@pytest.mark.parametrize("ago", [timedelta(minutes=1), timedelta(minutes=20), timedelta(days=400)])
def test_a_price_never_starts_in_the_past_where_runs_were_charged_by_another(panel: Client, ago: timedelta) -> None:
    model()
    starts_at = f"{timezone.now() - ago:%Y-%m-%dT%H:%M}"
    values = {"model": MODEL, "input_dollars": "1", "output_dollars": "2", "starts_at": starts_at}
    page = panel.post(reverse("admin:inference_price_add"), values).content.decode()
    assert "A price starts in the future" in page
    assert Price.objects.count() == 1


@pytest.mark.django_db
def test_the_list_of_prices_says_which_is_in_force(panel: Client) -> None:
    price = model().prices.get()
    for days in (-30, 30):
        price.pk, price.starts_at = None, timezone.now() + timedelta(days=days)
        price.save()
    page = panel.get(reverse("admin:inference_price_changelist")).content.decode()
    assert re.findall(r'<td class="field-state">(.+?)</td>', page) == ["planned", "in force", "replaced"]


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
@pytest.mark.parametrize("written", ["hush\r\nX-Other: hush", "hush hush", "h\u00fcsh"])
def test_a_credential_that_no_header_can_carry_is_refused(panel: Client, written: str) -> None:
    values = {"model": model().pk, "kind": "tgi", "base_url": "http://127.0.0.1:9", "concurrency": "4"}
    page = panel.post(reverse("admin:inference_endpoint_add"), values | {"credential": written}).content.decode()
    assert "A credential is printable ASCII without spaces." in page
    assert "hush" not in page
    assert not Endpoint.objects.exists()


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
        **dict.fromkeys(("template_tokens", "template_system_tokens", "template_tools_tokens", "image_tokens"), "8"),
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
@pytest.mark.parametrize("address", ["http://169.254.169.254", "http://8.8.8.8", "https://0x7f000001/v1"])
def test_an_endpoint_is_in_the_engines_networks(panel: Client, address: str) -> None:
    values = {"model": model().pk, "kind": "tgi", "base_url": address, "concurrency": "4"}
    answer = panel.post(reverse("admin:inference_endpoint_add"), values)
    assert "No engine may be at this address" in answer.content.decode()
    assert not Endpoint.objects.exists()


HOSTILE_NAMES = ["owl\x1b[2J", "\u202elwo", "owl\u200b", "owl\nowl", "o" * 201]


@pytest.mark.django_db
@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_are_seen_as_they_are(panel: Client, name: str) -> None:
    values = {"model": model().pk, "kind": "openai", "base_url": "http://127.0.0.1:9", "concurrency": "4"}
    for hostile in ({"upstream_model": name}, {"base_url": f"http://127.0.0.1:9/{name}"}):
        assert panel.post(reverse("admin:inference_endpoint_add"), values | hostile).status_code == 200
    assert not Endpoint.objects.exists()
    change = reverse("admin:inference_model_change", args=[MODEL])
    page = panel.post(change, {"name": name, "context_tokens": "4096", "lifecycle": "available"}).content.decode()
    assert re.search(r"Use one line of printable characters|at most 120 characters", page)
    assert Model.objects.get().name != name


@pytest.mark.django_db
def test_an_alias_is_written_with_a_line_for_each_model(panel: Client) -> None:
    model()
    add = reverse("admin:inference_alias_add")
    for name, targets in (("fast", "no/such"), ("fast", f"{MODEL}=0"), ("fast", ""), (MODEL, MODEL), ("a b", MODEL)):
        assert ((name, targets), panel.post(add, {"name": name, "targets": targets}).status_code) == (
            (name, targets),
            200,
        )
    assert panel.post(add, {"name": "fast", "targets": f"{MODEL}=9\r\n"}).status_code == 302
    change = reverse("admin:inference_alias_change", args=["fast"])
    assert f"{MODEL}=9" in panel.get(change).content.decode()
    assert f"{MODEL}=9" in read(panel.get(reverse("admin:inference_alias_changelist")))
    assert "an alias" in panel.post(change, {"name": "other", "targets": "fast"}).content.decode()
    assert panel.post(change, {"name": "other", "targets": MODEL}).status_code == 302
    assert [(alias.name, alias.targets) for alias in Alias.objects.all()] == [
        ("fast", [{"model": MODEL, "weight": None}])
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("day", ["", "2031-02-03"])
def test_a_model_that_is_retired_is_replaced_for_two_weeks_or_up_to_a_given_day(panel: Client, day: str) -> None:
    old, new = model(), model("fable/owl")
    values = {
        **{"name": "Fox", "context_tokens": "4096", "modalities": ["text"], "replaced_until": day},
        **dict.fromkeys(("template_tokens", "template_system_tokens", "template_tools_tokens", "image_tokens"), "8"),
        **{"lifecycle": "retired", "replacement": new.pk},
    }
    empty = {f"{rows}-{form}_FORMS": "0" for rows in ("prices", "endpoints") for form in ("TOTAL", "INITIAL")}
    two_weeks = timezone.now().date() + REPLACED_FOR
    assert panel.post(reverse("admin:inference_model_change", args=[old.pk]), values | empty).status_code == 302
    old.refresh_from_db()
    assert old.replaced_until is not None
    if day:
        assert old.replaced_until.isoformat() == day
    else:
        assert old.replaced_until - two_weeks in (timedelta(), timedelta(days=1))
