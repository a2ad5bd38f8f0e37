"""What the Hugging Face Hub knows about a model.

Its library is loaded when it is needed first: a server that is starting need not wait for it.
"""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from django.conf import settings

from core.text import one_line

if TYPE_CHECKING:
    from huggingface_hub import HfApi, ModelInfo

HUB_SECONDS = 5.0
MAX_DESCRIPTION_CHARACTERS = 400
# Shorter paragraphs on a card are headings, badges and links.
MIN_DESCRIPTION_CHARACTERS = 60

_MODALITIES = {"image-text-to-text": ["text", "image"], "any-to-any": ["text", "image"]}


class Card(msgspec.Struct, frozen=True):
    """A model card; empty or None for what it does not say."""

    url: str
    description: str = ""
    license: str = ""
    parameters_total: int | None = None
    modalities: list[str] = []
    features: list[str] = []
    released_on: date | None = None


class HubUnavailable(Exception):
    """The Hub cannot be reached, or does not know the model; the message says which."""


@contextmanager
def reached() -> Iterator["HfApi"]:
    """Lend the Hub's client, which waits for HUB_SECONDS at most for each answer. Raises HubUnavailable."""
    if settings.HF_HUB_OFFLINE:
        raise HubUnavailable("the Hub is switched off by HF_HUB_OFFLINE")
    from httpx2 import HTTPError
    from huggingface_hub import HfApi, get_session
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    get_session().timeout = HUB_SECONDS
    try:
        yield HfApi(endpoint=settings.HF_ENDPOINT, token=settings.HF_TOKEN or None)
    except HfHubHTTPError as error:
        raise HubUnavailable(f"the Hub answered with status {error.response.status_code}") from error
    except HFValidationError as error:
        raise HubUnavailable("its id cannot be one of the Hub's") from error
    except (HTTPError, OSError, ValueError) as error:
        # huggingface_hub's offline mode is an OSError too.
        raise HubUnavailable("the Hub cannot be reached") from error
    except (AttributeError, LookupError, TypeError) as error:
        raise HubUnavailable("the Hub answered something unknown") from error


def read_card(repo_id: str) -> Card:
    """Read a model's card. Raises HubUnavailable."""
    with reached() as api:
        model = api.model_info(
            repo_id,
            timeout=HUB_SECONDS,
            expand=["cardData", "config", "createdAt", "pipeline_tag", "safetensors", "tags"],
        )
    return Card(
        url=f"{settings.HF_ENDPOINT}/{repo_id}",
        description=_description(api, repo_id),
        license=_license(model),
        parameters_total=model.safetensors.total if model.safetensors else None,
        modalities=modalities_for(model.pipeline_tag),
        features=_features(model),
        released_on=model.created_at.date() if model.created_at else None,
    )


def modalities_for(pipeline_tag: str | None) -> list[str]:
    """Return what a model of this pipeline reads; nothing where that is not known."""
    return _MODALITIES.get(pipeline_tag, ["text"]) if pipeline_tag else []


def first_paragraph(markdown: str) -> str:
    """Return the first paragraph of plain prose, without its markup."""
    for paragraph in re.split(r"\n\s*\n", markdown):
        if re.match(r"\s*(?:[#<|>!\[`]|[*-]\s)", paragraph):
            continue
        text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)|[*`]", lambda link: link.group(1) or "", paragraph)
        text = one_line(text)
        if len(text) > MAX_DESCRIPTION_CHARACTERS:
            return text[:MAX_DESCRIPTION_CHARACTERS].rpartition(" ")[0] + "…"
        if len(text) >= MIN_DESCRIPTION_CHARACTERS:
            return text
    return ""


def _description(api: "HfApi", repo_id: str) -> str:
    """Return the card's first paragraph; empty where there is no card."""
    from httpx2 import HTTPError
    from huggingface_hub import ModelCard
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    with tempfile.TemporaryDirectory() as folder:
        try:
            path = api.hf_hub_download(repo_id, "README.md", local_dir=folder, etag_timeout=HUB_SECONDS)
        except (HfHubHTTPError, LocalEntryNotFoundError, HTTPError, OSError, ValueError):
            return ""
        try:
            return first_paragraph(ModelCard(Path(path).read_text(errors="replace"), ignore_metadata_errors=True).text)
        except ValueError:
            # Its front matter is no YAML.
            return ""


def _license(model: "ModelInfo") -> str:
    """Return the licence's short name; "other" ones have a name of their own."""
    if model.card_data is None:
        return ""
    named = model.card_data.get("license_name") if model.card_data.get("license") == "other" else None
    return one_line(str(named or model.card_data.get("license") or ""))


def _features(model: "ModelInfo") -> list[str]:
    """Return what the chat template shows that the model learnt."""
    template = str((model.config or {}).get("tokenizer_config", {}).get("chat_template", ""))
    marks = {"tools": "tools", "reasoning": "reasoning_content"}
    return [feature for feature, mark in marks.items() if mark in template]
