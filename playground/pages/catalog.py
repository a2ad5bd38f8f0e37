"""The models as cards: what a person wants to know before trying one."""

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Coalesce, TruncDate
from django.utils import timezone

from credits.money import plain_dollars
from inference.models import Model, Price
from inference.routing.endpoint_state import EndpointState, states_of
from playground.pages.refusals import refused_by

NEW_FOR = timedelta(days=30)
NANO_PER_MICRO = 1_000


def cards() -> list[dict[str, Any]]:
    """Return every model that can be called, the newest first. Waits for health.CHECK_SECONDS at most."""
    return _cards(_models())


def card(model_id: str) -> dict[str, Any] | None:
    """Return one model; None where there is none, or none that can be called."""
    return next(iter(_cards(_models().filter(pk=model_id))), None)


def _cards(models: "QuerySet[Model]") -> list[dict[str, Any]]:
    prices = _prices()
    priced = [model for model in models if model.pk in prices and not model.reads]
    states = states_of([endpoint for model in priced for endpoint in model.endpoints.all()])
    return [_card(model, prices[model.pk], states) for model in priced]


def _models() -> "QuerySet[Model]":
    callable_models = Model.objects.exclude(lifecycle=Model.Lifecycle.RETIRED)
    # Of a model whose release nobody knows, the day on which it came here is known.
    released = Coalesce("released_on", TruncDate("created_at"))
    return callable_models.prefetch_related("endpoints").order_by(released.desc(), "-created_at", "id")


def _prices() -> dict[str, Price]:
    """Return each model's price in force: the latest that has started."""
    started = Price.objects.filter(starts_at__lte=timezone.now()).order_by("starts_at")
    return {price.model_id: price for price in started}


def _card(model: Model, price: Price, states: dict[int, EndpointState]) -> dict[str, Any]:
    owner, _, _ = model.pk.rpartition("/")
    endpoints = model.endpoints.all()
    return {
        "id": model.pk,
        "name": model.name,
        "owner": owner,
        "description": model.description,
        "modalities": model.modalities,
        "features": model.features,
        "context_tokens": model.context_tokens,
        "parameters_total": model.parameters_total,
        "license": model.license,
        "released_on": model.released_on.isoformat() if model.released_on else None,
        "added_on": model.created_at.date().isoformat(),
        "hub_url": model.hub_url,
        "lifecycle": model.lifecycle,
        "replacement": model.replacement_id,
        "price": {
            "input": dollars_per_mtok(price.input_microcredits_per_mtok),
            "output": dollars_per_mtok(price.output_microcredits_per_mtok),
            "cached_input": dollars_per_mtok(price.cached_input_microcredits_per_mtok),
        },
        # Any of the servers may be the one that answers.
        "refused": sorted({name for each in endpoints if each.is_enabled for name in refused_by(each.kind)}),
        "health": "up" if any(states[endpoint.pk].answers for endpoint in endpoints) else "down",
        "is_new": timezone.now() - model.created_at < NEW_FOR,
    }


def dollars_per_mtok(microcredits: int) -> str:
    """Write a price as people do: ``0.22``, ``15.00``, ``0.0375``."""
    return plain_dollars(microcredits * NANO_PER_MICRO)
