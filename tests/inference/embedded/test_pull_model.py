"""A model's file comes from the Hub whole or not at all, and goes on where it was cut off."""

import json
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from huggingface_hub import constants
from pytest_django.fixtures import Settings

from inference.embedded.engine import MODEL_ID, pulled_models
from inference.models import Endpoint, Model
from tests.fakes.hub import FakeHub

pytestmark = pytest.mark.django_db

# Twelve megabytes: the client writes ten at once.
CONTENT = bytes(range(256)) * 50_000
CUT, KEPT = 11_000_000, 10_485_760
NAME = "model-Q4_K_M.gguf"


@pytest.fixture(autouse=True)
def _online(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The fake on this machine is asked whatever the environment says about the real Hub."""
    settings.HF_HUB_OFFLINE = False
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def pull(hub: FakeHub, settings: Settings, *more: str, model: str = "org/model") -> None:
    settings.HF_ENDPOINT = hub.url
    call_command("pull_model", model, "--price-in=0.1", "--price-out=0.2", *more)


def ranges(hub: FakeHub) -> list[str | None]:
    """Return which bytes were asked for."""
    return [each.headers.get("range") for each in hub.requests if each.path.endswith(".gguf")]


def test_a_download_that_is_cut_goes_on_where_it_was(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeHub(files={NAME: CONTENT}, cuts=[CUT]) as hub:
        pull(hub, settings)
        assert ranges(hub) == [None, f"bytes={KEPT}-"]
    assert f"{NAME}, 12,800,000 bytes, checked" in capsys.readouterr().out
    (path,) = (tmp_path / "models" / "org--model").iterdir()
    assert path.read_bytes() == CONTENT


def test_the_next_pull_goes_on_where_the_last_was_given_up(settings: Settings, tmp_path: Path) -> None:
    with FakeHub(files={NAME: CONTENT}, cuts=[CUT], status_behind_cuts=503) as hub:
        with pytest.raises(CommandError, match="because the Hub answered with status 503"):
            pull(hub, settings)
        hub.status_behind_cuts = None
        pull(hub, settings)
        # And what is here is not asked for again.
        pull(hub, settings)
        assert ranges(hub) == [None, f"bytes={KEPT}-", f"bytes={KEPT}-"]
    assert [each.name for each in (tmp_path / "models" / "org--model").iterdir()] == [NAME]


def test_a_file_with_another_content_is_thrown_away(settings: Settings, tmp_path: Path) -> None:
    with FakeHub(files={NAME: CONTENT}, told_sha256="0" * 64) as hub, pytest.raises(CommandError, match="SHA-256"):
        pull(hub, settings)
    assert not list((tmp_path / "models" / "org--model").iterdir())
    assert not Model.objects.exists()


def test_without_the_network_there_is_one_clear_line(settings: Settings) -> None:
    with FakeHub(files={NAME: CONTENT}) as hub:
        pass
    with pytest.raises(CommandError, match="org/model was not pulled, because the Hub cannot be reached"):
        pull(hub, settings)
    settings.HF_HUB_OFFLINE = True
    with pytest.raises(CommandError, match="switched off by HF_HUB_OFFLINE"):
        pull(hub, settings)


@pytest.mark.parametrize(
    ("names", "wanted", "found"),
    [
        (["only.gguf"], "", "only.gguf"),
        (["a-Q8_0.gguf", "a-Q4_K_M.gguf", "README.md"], "", "a-Q4_K_M.gguf"),
        (["a-Q8_0.gguf", "a-Q4_K_M.gguf"], "q8_0", "a-Q8_0.gguf"),
        (["a-Q8_0.gguf", "a-Q4_K_M.gguf", "mmproj-a.gguf"], "a-Q8_0.gguf", "a-Q8_0.gguf"),
    ],
)
def test_the_file_that_is_meant_is_found(settings: Settings, names: list[str], wanted: str, found: str) -> None:
    with FakeHub(files=dict.fromkeys(names, b"GGUF")) as hub:
        pull(hub, settings, model=f"org/model:{wanted}" if wanted else "org/model")
    assert Path(Endpoint.objects.get().learned["file"]).name == found


@pytest.mark.parametrize(
    ("names", "wanted", "words"),
    [
        ([], "", "has no model in one GGUF file"),
        (["a-00001-of-00002.gguf"], "", "has no model in one GGUF file"),
        (["a-Q8_0.gguf", "a-Q5_0.gguf"], "", "such as org/model:a-Q5_0.gguf. There are a-Q5_0.gguf, a-Q8_0.gguf."),
        (["a-Q8_0.gguf", "b-Q8_0.gguf"], "Q8", "such as org/model:a-Q8_0.gguf"),
    ],
)
def test_who_has_to_say_which_file_hears_what_there_is(
    settings: Settings, names: list[str], wanted: str, words: str
) -> None:
    with FakeHub(files=dict.fromkeys(names, b"GGUF")) as hub, pytest.raises(CommandError) as raised:
        pull(hub, settings, model=f"org/model:{wanted}")
    assert words in str(raised.value)


def test_a_pulled_model_has_a_price_and_is_served_beside_the_small_one_or_instead(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    small = Model.objects.create(id=MODEL_ID, name="small", context_tokens=4096)
    Endpoint.objects.create(model=small, kind="llamacpp", base_url="http://127.0.0.1:1", is_embedded=True)
    with FakeHub(files={NAME: CONTENT}) as hub:
        pull(hub, settings, "--json")
        said = json.loads(capsys.readouterr().out)
        assert [(each.id, str(each.file)) for each in pulled_models()] == [("org/model", said["file"])]
        assert Endpoint.objects.get(model=small).is_enabled
        pull(hub, settings, "--instead")
    assert not Endpoint.objects.get(model=small).is_enabled
    model = Model.objects.get(id="org/model")
    assert model.current_price
    assert model.current_price.output_microcredits_per_mtok == 200_000
    assert model.endpoints.count() == 1
