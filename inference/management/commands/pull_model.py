"""``manage.py pull_model OWNER/NAME[:FILE] --price-in 0.1 --price-out 0.1``."""

import json
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from core.text import escaped
from inference.catalog.hub import HubUnavailable, read_card
from inference.catalog.registration import Listed, Listing, PriceTag, microcredits_per_mtok, register
from inference.embedded.engine import MODEL_ID
from inference.embedded.model_files import FileRefused, HubFile, fetch, find
from inference.models import Endpoint

# Where no engine is, until the embedded one has started and says where it listens.
_NOWHERE = "http://127.0.0.1:9"


class Command(BaseCommand):
    """Brings a model from the Hub for the embedded engine."""

    help = (
        "Bring a GGUF file from the Hugging Face Hub, check it, and have the embedded engine serve it. "
        "What was cut off goes on where it was. Prices are dollars per million tokens."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("model", help="OWNER/NAME, or OWNER/NAME:FILE with a file's name or a part of it")
        parser.add_argument("--price-in", required=True, metavar="DOLLARS")
        parser.add_argument("--price-out", required=True, metavar="DOLLARS")
        parser.add_argument(
            "--instead", action="store_true", help="serve it instead of the small model that came along"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, model: str, **options: Any) -> None:
        """Fetch the file first, then write everything at once."""
        repository, _, wanted = model.partition(":")
        try:
            price_in = microcredits_per_mtok(options["price_in"])
            price = PriceTag(price_in, microcredits_per_mtok(options["price_out"]), price_in)
            file = find(repository, wanted)
            path = fetch(file)
            listed = _list(file, str(path), price, is_alone=options["instead"])
        except ValidationError as error:
            raise CommandError(escaped(" ".join(error.messages))) from error
        except HubUnavailable as error:
            raise CommandError(escaped(f"{repository} was not pulled, because {error}.")) from error
        except FileRefused as error:
            raise CommandError(escaped(str(error))) from error
        summary = {"model": listed.model.id, "file": str(path), "bytes": file.size_bytes, "sha256": file.sha256}
        if options["json"]:
            self.stdout.write(json.dumps(summary))
        else:
            self.stdout.write(
                f"{listed.model.id} is here ({escaped(file.name)}, {file.size_bytes:,} bytes, checked). "
                "`manage.py serve` serves it from its next start on."
            )


def _list(file: HubFile, path: str, price: PriceTag, *, is_alone: bool) -> Listed:
    """Put the model into the catalogue, with an endpoint that the embedded engine fills in. Raises ValidationError."""
    known = Endpoint.objects.filter(model=file.repository, is_embedded=True).first()
    try:
        card = read_card(file.repository)
    except HubUnavailable:
        card = None
    listing = Listing(
        model_id=file.repository,
        price=price,
        kind=Endpoint.Kind.LLAMACPP,
        base_url=known.base_url if known else _NOWHERE,
        concurrency=settings.EMBEDDED_SLOTS,
        context_tokens=settings.EMBEDDED_CONTEXT_TOKENS,
        description=(card.description or None) if card else None,
        license=(card.license[:60] or None) if card else None,
        hub_url=card.url if card else None,
        released_on=card.released_on if card else None,
        features=["json_mode", "structured_output"],
    )
    with transaction.atomic():
        listed = register(listing)
        endpoint = listed.endpoint
        endpoint.is_embedded = True
        endpoint.learned = endpoint.learned | {"file": path, "commit": file.commit, "sha256": file.sha256}
        endpoint.save(update_fields=["is_embedded", "learned"])
        if is_alone:
            Endpoint.objects.filter(model=MODEL_ID, is_embedded=True).update(is_enabled=False)
    return listed
