import socket
from datetime import date

import pytest
from huggingface_hub import constants
from pytest_django.fixtures import Settings

from inference.catalog.hub import Card, HubUnavailable, first_paragraph, read_card
from tests.fakes.hub import FakeHub

README = b"""---
license: apache-2.0
---
# A model

![logo](https://example.org/logo.png)

**Small** is a [family](https://example.org) of compact models that can do a great many things on one device.

More text.
"""
MODEL = {
    "cardData": {"license": "apache-2.0"},
    "createdAt": "2024-11-01T10:00:00.000Z",
    "pipeline_tag": "image-text-to-text",
    "safetensors": {"parameters": {"BF16": 134515008}, "total": 134515008},
    "config": {"tokenizer_config": {"chat_template": "{% if tools %}…{% endif %}"}},
}


@pytest.fixture(autouse=True)
def _online(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake on this machine is asked whatever the environment says about the real Hub."""
    settings.HF_HUB_OFFLINE = False
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def test_a_card_is_read(settings: Settings) -> None:
    with FakeHub(model=MODEL, readme=README) as hub:
        settings.HF_ENDPOINT = hub.url
        card = read_card("org/model")
    assert card == Card(
        url=f"{hub.url}/org/model",
        description="Small is a family of compact models that can do a great many things on one device.",
        license="apache-2.0",
        parameters_total=134515008,
        modalities=["text", "image"],
        features=["tools"],
        released_on=date(2024, 11, 1),
    )


def test_a_card_that_says_nothing_is_empty(settings: Settings) -> None:
    with FakeHub() as hub:
        settings.HF_ENDPOINT = hub.url
        assert read_card("org/model") == Card(url=f"{hub.url}/org/model")


def test_another_licence_has_its_own_name(settings: Settings) -> None:
    with FakeHub(model={"cardData": {"license": "other", "license_name": "gemma"}}) as hub:
        settings.HF_ENDPOINT = hub.url
        assert read_card("org/model").license == "gemma"


def test_a_model_that_the_hub_does_not_know_is_said_so(settings: Settings) -> None:
    with FakeHub() as hub:
        settings.HF_ENDPOINT = hub.url
        with pytest.raises(HubUnavailable, match="404"):
            read_card("org/unknown")


def test_an_id_that_the_hub_cannot_have_is_said_so(settings: Settings) -> None:
    with FakeHub() as hub:
        settings.HF_ENDPOINT = hub.url
        with pytest.raises(HubUnavailable):
            read_card("a/b/c")


def test_a_hub_that_is_not_there_is_said_so(settings: Settings) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        settings.HF_ENDPOINT = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(HubUnavailable, match="cannot be reached"):
            read_card("org/model")


def test_offline_means_offline(settings: Settings) -> None:
    settings.HF_HUB_OFFLINE = True
    with FakeHub() as hub:
        settings.HF_ENDPOINT = hub.url
        with pytest.raises(HubUnavailable, match="HF_HUB_OFFLINE"):
            read_card("org/model")
        assert not hub.requests


def test_a_long_paragraph_is_cut_at_a_word() -> None:
    text = first_paragraph("word " * 200)
    assert len(text) <= 400
    assert text.endswith("word…")
