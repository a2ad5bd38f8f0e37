"""Putting a model, its price and its endpoint into the catalogue, all or nothing."""

import re
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

import msgspec
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from core.text import validate_name
from inference.billing.template_measurement import Template
from inference.engines.base import Description
from inference.models import MAX_CONCURRENCY, MAX_PRICE_MICROCREDITS_PER_MTOK, Endpoint, Model, Price
from inference.transport.networks import AddressRefused, check_host

_MICROCREDITS = 1_000_000
# What the database takes of an address, and of a server's own name for a model.
_MAX_CHARACTERS = 200


class PriceTag(msgspec.Struct, frozen=True):
    """Prices in micro-credits per million tokens."""

    input_microcredits_per_mtok: int
    output_microcredits_per_mtok: int
    cached_input_microcredits_per_mtok: int


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A model to be put into the catalogue; None leaves what is there, or takes the default."""

    model_id: str
    price: PriceTag
    kind: str
    base_url: str
    credential: str | None = None
    upstream_model: str | None = None
    concurrency: int | None = None
    # Given by the operator, and found at the endpoint.
    context_tokens: int | None = None
    endpoint_context_tokens: int | None = None
    template: Template = Template()
    description: str | None = None
    license: str | None = None
    modalities: list[str] | None = None
    # Added to those that are known already.
    features: list[str] = []
    parameters_total: int | None = None
    hub_url: str | None = None
    released_on: date | None = None


class Listed(msgspec.Struct, frozen=True):
    """What became of a listing."""

    model: Model
    endpoint: Endpoint
    is_new_model: bool
    is_new_endpoint: bool
    is_new_price: bool


def microcredits_per_mtok(dollars: str) -> int:
    """Turn dollars per million tokens, as people write them, into micro-credits. Raises ValidationError."""
    try:
        amount = Decimal(dollars)
    except InvalidOperation:
        amount = Decimal("NaN")
    most = Decimal(MAX_PRICE_MICROCREDITS_PER_MTOK) / _MICROCREDITS
    if not amount.is_finite() or amount.is_signed() or amount > most:
        raise ValidationError(f"A price is from 0 to {most} dollars per million tokens, not {dollars!r}.")
    microcredits = amount * _MICROCREDITS
    if microcredits != int(microcredits):
        raise ValidationError(f"A price has at most six decimals: {dollars!r}.")
    return int(microcredits)


def checked_base_url(url: str) -> str:
    """Return an endpoint's address without ``/v1``. Raises ValidationError for one that cannot be, or may not be."""
    try:
        parts = urlsplit(url)
        is_plain = not (parts.username or parts.password or parts.query or parts.fragment)
        is_right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and is_plain
    except ValueError:
        is_right = False
    if not is_right or re.search(r"\s", url) or not url.isprintable() or len(url) > _MAX_CHARACTERS:
        raise ValidationError("An endpoint is an address such as http://10.0.0.5:8080, without a name or a key in it.")
    try:
        check_host(parts.hostname or "")
    except AddressRefused as error:
        raise ValidationError(f"No engine may be at this address: {error}") from error
    return url.rstrip("/").removesuffix("/v1")


def checked_upstream_model(name: str) -> str:
    """Return a server's own name for a model; empty for none. Raises ValidationError for what is not seen as it is."""
    if name:
        validate_name(name)
    if len(name) > _MAX_CHARACTERS:
        raise ValidationError(f"A server's name for a model has at most {_MAX_CHARACTERS} characters.")
    return name


def told_concurrency(description: Description) -> int | None:
    """Return how many requests a server says it takes at once; None where it says nothing that can be."""
    told = description.concurrency
    return told if told is not None and 1 <= told <= MAX_CONCURRENCY else None


@transaction.atomic
def register(listing: Listing) -> Listed:
    """Add a model or bring it up to date; a changed price is a new version. Raises ValidationError."""
    known = Model.objects.select_for_update().filter(pk=listing.model_id).first()
    model = known or Model(id=listing.model_id, name=listing.model_id.rpartition("/")[2][:120])
    for field, value in _given(listing).items():
        setattr(model, field, value)
    model.context_tokens = _context_tokens(listing, known)
    model.modalities = model.modalities or ["text"]
    model.features = [*model.features, *(each for each in listing.features if each not in model.features)]
    # An empty list of features is a list, which Django takes for a missing value.
    model.full_clean(exclude=["features"], validate_unique=False)
    model.save()
    endpoint, is_new_endpoint = _place(listing, model)
    return Listed(model, endpoint, known is None, is_new_endpoint, _price(listing, model))


def _given(listing: Listing) -> dict[str, Any]:
    fields = (
        *("description", "license", "modalities"),
        *("parameters_total", "hub_url", "released_on"),
    )
    given = {field: getattr(listing, field) for field in fields} | msgspec.structs.asdict(listing.template)
    return {field: value for field, value in given.items() if value is not None}


def _context_tokens(listing: Listing, known: Model | None) -> int:
    """Return what every endpoint of the model can take."""
    found = listing.endpoint_context_tokens
    if listing.context_tokens:
        return listing.context_tokens
    if known is None and not found:
        raise ValidationError("The endpoint does not tell its context length: give it with --context.")
    if known is None or not found:
        return found or (known.context_tokens if known else 0)
    others = known.endpoints.filter(is_enabled=True).exclude(base_url=listing.base_url)
    return min(known.context_tokens, found) if others.exists() else found


def _place(listing: Listing, model: Model) -> tuple[Endpoint, bool]:
    """Add the endpoint or bring it up to date."""
    fields = {"kind": listing.kind, "is_enabled": True}
    optional = {
        "credential": listing.credential,
        "upstream_model": listing.upstream_model,
        "concurrency": listing.concurrency,
    }
    fields |= {field: value for field, value in optional.items() if value is not None}
    return Endpoint.objects.update_or_create(fields, model=model, base_url=listing.base_url)


def _price(listing: Listing, model: Model) -> bool:
    """Start a new version of the price unless the one in force is the same."""
    now = timezone.now()
    wanted = msgspec.structs.asdict(listing.price)
    current = Price.objects.filter(model=model, starts_at__lte=now).order_by("-starts_at").first()
    if current and all(getattr(current, field) == value for field, value in wanted.items()):
        return False
    Price.objects.create(model=model, starts_at=now, **wanted)
    return True
