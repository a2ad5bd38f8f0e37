"""``manage.py add_model REPO_ID --endpoint URL --kind tgi --price-in 0.22 --price-out 0.22``."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import msgspec
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import IntegrityError

from core.text import escaped
from inference.billing.template_measurement import Template, measure
from inference.catalog.faults import fault_of
from inference.catalog.hub import Card, HubUnavailable, modalities_for, read_card
from inference.catalog.registration import (
    Listed,
    Listing,
    PriceTag,
    checked_base_url,
    checked_upstream_model,
    microcredits_per_mtok,
    register,
    told_concurrency,
)
from inference.chat import READING_FEATURES
from inference.engines import engine_for
from inference.engines.base import Description, EndpointAddress
from inference.errors import EngineError
from inference.models import MODALITIES, Endpoint
from inference.transport.client import HttpClient

# What a kind of server does with any model.
_JSON = ["json_mode", "structured_output"]
_FEATURES = dict.fromkeys(Endpoint.Kind.values, _JSON) | {"tgi": ["structured_output"]}

# A server may list names without end: so many are told, and so much of each.
_NAMES, _NAME_CHARACTERS = 20, 200


class Survey(msgspec.Struct, frozen=True):
    """What the endpoint told."""

    description: Description = Description()
    template: Template = Template()


class Command(BaseCommand):
    """Adds a model with its price and an endpoint that runs it."""

    help = "Add a model and an endpoint that runs it, or bring them up to date. Prices are dollars per million tokens."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("repo_id", help="the model's id as callers name it, such as owner/name")
        parser.add_argument("--endpoint", required=True, metavar="URL", help="such as http://10.0.0.5:8080")
        parser.add_argument("--kind", required=True, choices=Endpoint.Kind.values)
        parser.add_argument("--price-in", required=True, metavar="DOLLARS")
        parser.add_argument("--price-out", required=True, metavar="DOLLARS")
        parser.add_argument("--price-cached", metavar="DOLLARS", help="for cached prompt tokens (the input price)")
        parser.add_argument("--credential", help="sent to the endpoint as a Bearer token")
        parser.add_argument("--upstream-model", metavar="NAME", help="the model's name at the endpoint")
        parser.add_argument("--concurrency", type=_positive, metavar="N", help="requests it takes at once")
        parser.add_argument("--context", type=_positive, metavar="TOKENS", help="prompt and answer together")
        parser.add_argument(
            "--modality", action="append", choices=MODALITIES, help="what it reads besides text; may be repeated"
        )
        parser.add_argument(
            "--feature",
            action="append",
            choices=READING_FEATURES,
            help="what it is for, if it does not chat; repeatable",
        )
        parser.add_argument("--no-check", action="store_true", help="do not ask the endpoint anything")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, repo_id: str, **options: Any) -> None:
        """Ask the endpoint and the Hub, then write everything at once."""
        try:
            listing = _listing(repo_id, options)
            survey = Survey() if options["no_check"] else _survey(listing)
            card, missing = _card(repo_id)
            listed = register(_completed(listing, survey, card))
        except ValidationError as error:
            raise CommandError(escaped(" ".join(error.messages))) from error
        except IntegrityError as error:
            raise CommandError("Someone else added the same at this moment; nothing was changed.") from error
        adapters = [each for each in survey.description.adapters if each != listed.endpoint.upstream_model]
        if adapters:
            missing.append(
                f"It serves adapters too: {_told(adapters)}. Each can be a model: --upstream-model with its name."
            )
        served = survey.description.model
        if served and served not in (repo_id, options["upstream_model"]):
            missing.append(f"The endpoint says that it serves {_told([served])}.")
        if options["json"]:
            self.stdout.write(json.dumps(_summary(listed, listing.price) | {"notes": missing}))
        else:
            self.stdout.write("\n".join(escaped(line) for line in [_sentence(listed), *missing]))


def _told(names: Sequence[str]) -> str:
    """Return names that a server gave, for a terminal."""
    rest = [f"and {len(names) - _NAMES} more"] if len(names) > _NAMES else []
    return ", ".join([*(escaped(name[:_NAME_CHARACTERS]) for name in names[:_NAMES]), *rest])


def _positive(text: str) -> int:
    """Read a whole number above zero that the database can hold."""
    if not 1 <= (number := int(text)) <= 2**31 - 1:
        raise ValueError
    return number


def _listing(repo_id: str, options: dict[str, Any]) -> Listing:
    """Return what the operator said. Raises ValidationError."""
    price_in = microcredits_per_mtok(options["price_in"])
    cached = options["price_cached"]
    return Listing(
        model_id=repo_id,
        price=PriceTag(
            price_in,
            microcredits_per_mtok(options["price_out"]),
            price_in if cached is None else microcredits_per_mtok(cached),
        ),
        kind=options["kind"],
        base_url=checked_base_url(options["endpoint"]),
        credential=options["credential"],
        upstream_model=options["upstream_model"] and checked_upstream_model(options["upstream_model"]),
        concurrency=options["concurrency"],
        context_tokens=options["context"],
        features=options["feature"] or [],
        modalities=options["modality"] and [each for each in MODALITIES if each in ("text", *options["modality"])],
    )


def _survey(listing: Listing) -> Survey:
    """Ask the endpoint about itself, with the credential that it will be called with. Raises CommandError."""
    kept = Endpoint.objects.filter(model=listing.model_id, base_url=listing.base_url).first()
    credential = listing.credential if listing.credential is not None else kept.credential if kept else ""
    upstream = listing.upstream_model if listing.upstream_model is not None else kept.upstream_model if kept else ""
    if not upstream and listing.kind != Endpoint.Kind.TGI:
        upstream = listing.model_id
    try:
        address = EndpointAddress(listing.kind, listing.base_url, credential, upstream)
        return asyncio.run(_ask(address, chats=not listing.features))
    except EngineError as error:
        asked = EndpointAddress(listing.kind, listing.base_url, credential, upstream or listing.model_id)
        fault = fault_of(asked, error)
        raise CommandError(f"{escaped(fault)} --no-check adds it all the same.") from error


async def _ask(address: EndpointAddress, *, chats: bool) -> Survey:
    """Ask for a description, and measure what the chat template adds, if it chats."""
    async with HttpClient() as http:
        engine = engine_for(address, http)
        description = await engine.describe()
        # Health and description may be open to everyone; this is not.
        await engine.count_text("a")
        return Survey(description, await measure(engine) if chats else Template())


def _card(repo_id: str) -> tuple[Card | None, list[str]]:
    """Return the model card, and sentences about what it could not tell."""
    try:
        card = read_card(repo_id)
    except HubUnavailable as error:
        return None, [f"Not filled in, because {error}: description, licence, parameters, release date."]
    empty = {
        "description": card.description,
        "licence": card.license,
        "parameters": card.parameters_total,
        "release date": card.released_on,
    }
    absent = [name for name, value in empty.items() if not value]
    return card, [f"Not filled in, because the model card does not tell: {', '.join(absent)}."] if absent else []


def _completed(listing: Listing, survey: Survey, card: Card | None) -> Listing:
    """Add to what the operator said what the endpoint and the Hub told."""
    description = survey.description
    return msgspec.structs.replace(
        listing,
        concurrency=listing.concurrency or told_concurrency(description),
        endpoint_context_tokens=description.context_tokens,
        template=survey.template,
        modalities=listing.modalities or (card.modalities if card else None) or _modalities(description),
        features=listing.features
        or [*(card.features if card else []), *_FEATURES[listing.kind], *description.features],
        description=(card.description or None) if card else None,
        license=(card.license[:60] or None) if card else None,
        parameters_total=card.parameters_total if card else None,
        hub_url=card.url if card else None,
        released_on=card.released_on if card else None,
    )


def _modalities(description: Description) -> list[str] | None:
    return modalities_for(description.pipeline_tag) or (list(description.modalities or ()) or None)


def _summary(listed: Listed, price: PriceTag) -> dict[str, Any]:
    model, endpoint = listed.model, listed.endpoint
    return {
        "model": model.id,
        "endpoint": endpoint.base_url,
        "kind": endpoint.kind,
        "context_tokens": model.context_tokens,
        **{field: getattr(model, field) for field in Template.__struct_fields__},
        "concurrency": endpoint.concurrency,
        **msgspec.structs.asdict(price),
        "is_new_model": listed.is_new_model,
        "is_new_endpoint": listed.is_new_endpoint,
        "is_new_price": listed.is_new_price,
    }


def _sentence(listed: Listed) -> str:
    model, endpoint = listed.model, listed.endpoint
    model_part = "Added" if listed.is_new_model else "Updated"
    endpoint_part = "a new endpoint" if listed.is_new_endpoint else "the known endpoint"
    price_part = "a new price" if listed.is_new_price else "the same price"
    return (
        f"{model_part} {model.id} with {endpoint_part} {endpoint} ({endpoint.concurrency} at once, "
        f"{model.context_tokens} tokens of context) and {price_part}."
    )
