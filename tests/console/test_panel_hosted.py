"""Hugging Face Inference Endpoints in the panel: listed, paused and resumed, with a token."""

from collections.abc import Callable, Iterator

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from huggingface_hub import constants
from pytest_django.fixtures import Settings

from inference.models import Endpoint
from tests.console.scenes import MODEL, Page, model
from tests.fakes.inference_endpoints import TOKEN, FakeInferenceEndpoints, described

pytestmark = pytest.mark.django_db

PAGE = "/admin/inference/endpoint/hosted/"
URL = "https://abc.endpoints.huggingface.cloud"


@pytest.fixture
def service(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeInferenceEndpoints]:
    """The service with two endpoints, and a token for it."""
    settings.HF_TOKEN = TOKEN
    settings.HF_HUB_OFFLINE = False
    endpoints = {"ada": [described("fox", "running", URL)], "acme": [described("owl", "paused")]}
    with FakeInferenceEndpoints(endpoints=endpoints) as server:
        settings.HF_ENDPOINT = server.url
        # The library has no setting for it.
        monkeypatch.setattr(constants, "INFERENCE_ENDPOINTS_ENDPOINT", f"{server.url}/v2")
        yield server


def act(client: Client, action: str, endpoint: str) -> str:
    return client.post(PAGE, {"action": action, "endpoint": endpoint}, follow=True).content.decode()


def test_all_that_the_token_reaches_are_listed(panel: Client, service: FakeInferenceEndpoints) -> None:
    Endpoint.objects.create(model=model(), kind="tgi", base_url=URL)
    response = panel.get(PAGE)
    shown = response.content.decode()
    for words in (
        "ada/fox",
        "running",
        "org/fox",
        "nvidia-l4 x1",
        MODEL,
        "Pause ada/fox",
        "acme/owl",
        "Resume acme/owl",
    ):
        assert words in shown, words
    assert TOKEN not in shown
    assert (Page(response).inline, Page(response).foreign) == ([], [])
    assert "Inference Endpoints" in panel.get("/admin/inference/endpoint/").content.decode()


def test_one_is_paused_and_resumed(panel: Client, service: FakeInferenceEndpoints) -> None:
    assert "Asked to pause ada/fox: it is paused now." in act(panel, "pause", "ada/fox")
    assert "Asked to resume acme/owl: it is initializing now." in act(panel, "resume", "acme/owl")
    states = [each["status"]["state"] for owned in service.endpoints.values() for each in owned]
    assert states == ["paused", "initializing"]
    said = [(entry.object_repr, entry.get_change_message()) for entry in LogEntry.objects.order_by("pk")]
    assert said == [
        ("Inference Endpoint ada/fox", "Asked to pause."),
        ("Inference Endpoint acme/owl", "Asked to resume."),
    ]


@pytest.mark.parametrize("name", ["ada/nobody", "../../api/models", "ada/fox/pause?x=", "ada", "", "ada/..", "\x00/a"])
def test_what_is_no_endpoint_is_not_changed(panel: Client, service: FakeInferenceEndpoints, name: str) -> None:
    assert "Nothing was changed" in act(panel, "pause", name)
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("body", [b"no JSON", b"{}", b"[]", b'{"name": "ada"}'])
def test_a_hub_that_speaks_nonsense_is_said_so(panel: Client, service: FakeInferenceEndpoints, body: bytes) -> None:
    service.body = body
    assert "cannot be listed: the Hub" in panel.get(PAGE).content.decode()


def test_a_wrong_token_and_a_hub_that_is_off_are_said_so(
    panel: Client, service: FakeInferenceEndpoints, settings: Settings
) -> None:
    settings.HF_TOKEN = "hf_wrong"
    assert "the Hub answered with status 401" in panel.get(PAGE).content.decode()
    settings.HF_HUB_OFFLINE = True
    assert "switched off by HF_HUB_OFFLINE" in panel.get(PAGE).content.decode()


def test_without_a_token_the_page_says_what_to_do_and_asks_nobody(
    panel: Client, service: FakeInferenceEndpoints, settings: Settings
) -> None:
    settings.HF_TOKEN = ""
    assert "Set <code>HF_TOKEN</code>" in panel.get(PAGE).content.decode()
    assert panel.post(PAGE, {"action": "pause", "endpoint": "ada/fox"}).status_code == 403
    assert not service.requests


def test_who_only_looks_changes_nothing(enter: Callable[..., Client], service: FakeInferenceEndpoints) -> None:
    assert enter().get(PAGE).status_code == 403
    looker = enter("view_endpoint")
    shown = looker.get(PAGE).content.decode()
    assert "ada/fox" in shown
    assert "Pause ada/fox" not in shown
    assert looker.post(PAGE, {"action": "pause", "endpoint": "ada/fox"}).status_code == 403
    assert {request.method for request in service.requests} == {"GET"}


def test_an_unknown_action_is_refused(panel: Client, service: FakeInferenceEndpoints) -> None:
    assert panel.post(PAGE, {"action": "delete", "endpoint": "ada/fox"}).status_code == 403
    assert not service.requests
