"""The models that can be called now, kept in memory: the hot path never asks the database.

A change made anywhere is seen within one second (``core.changes``).
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from operator import attrgetter
from typing import NamedTuple

import msgspec
from channels.db import database_sync_to_async

from core import changes, clock
from inference.billing.pricing import Rates
from inference.billing.prompt import Overhead
from inference.chat import Chat, Reading
from inference.errors import ModelNotFound, UnsupportedParameter
from inference.models import Alias, Endpoint, Model, Price

TOPIC = "catalogue"
_ADDRESS = attrgetter("kind", "base_url", "credential", "upstream_model")


class EndpointSnapshot(msgspec.Struct, frozen=True):
    """A server that runs a model, as the engines need to know it."""

    id: int
    kind: str
    base_url: str
    credential: str
    upstream_model: str
    concurrency: int

    def __repr__(self) -> str:
        return f"{self.kind} at {self.base_url}"

    def speaks_as(self, other: "EndpointSnapshot") -> bool:
        """Whether it is the same server to an engine, whatever else the catalogue says of it."""
        return _ADDRESS(self) == _ADDRESS(other)


class ModelSnapshot(msgspec.Struct, frozen=True):
    """A model that can be called; ``prices`` go from the newest start to the oldest, future ones included."""

    id: str
    context_tokens: int
    overhead: Overhead
    endpoints: tuple[EndpointSnapshot, ...]
    prices: tuple[Rates, ...]
    # Of what it may be listed with, that which says that it does not chat.
    reads: tuple[str, ...] = ()

    def check(self, chat: Chat) -> None:
        """Refuse what the model cannot read or do, whoever runs it. Raises UnsupportedParameter."""
        if isinstance(chat, Reading):
            if chat.feature not in self.reads:
                raise UnsupportedParameter(f"This model is not one for {chat.feature}.", param="model")
        elif self.reads:
            raise UnsupportedParameter(f"This model is for {' and '.join(self.reads)} alone.", param="model")
        if self.overhead.image is None:
            for _, path in chat.images():
                raise UnsupportedParameter("This model reads text, and no images.", param=path)

    def rates(self) -> Rates:
        """Return the price version in force now. Raises ModelNotFound while there is none: it cannot be called."""
        for now in (clock.timestamp(), clock.latest().timestamp()):
            for rates in self.prices:
                if rates.starts_at <= now:
                    return rates
        raise ModelNotFound.named(self.id)


class AliasSnapshot(msgspec.Struct, frozen=True):
    """A name that stands for models, each with its weight, until ``ends_at`` in Unix seconds."""

    targets: tuple[tuple[str, int | None], ...]
    ends_at: float = math.inf


class Target(NamedTuple):
    """A model that a name stands for; without a weight it is asked where those with one cannot answer."""

    model: ModelSnapshot
    weight: int | None = None


class Catalog:
    """The models that are not retired, and the names that stand for some of them, as they were read last."""

    def __init__(self) -> None:
        # Under this stamp they are still true.
        self._stamp: int | None = None
        self._models: Mapping[str, ModelSnapshot] = {}
        self._aliases: Mapping[str, AliasSnapshot] = {}

    async def find(self, name: str) -> list[Target]:
        """Return the models that a name stands for: one of its own, an alias's, or what replaces a retired one.

        Raises ModelNotFound where none of them is in the catalogue.
        """
        models = await self.every()
        if model := models.get(name):
            return [Target(model)]
        alias = self._alive(name)
        found = [Target(models[target], weight) for target, weight in alias.targets if target in models]
        if not found:
            raise ModelNotFound.named(name)
        return found

    async def has(self, name: str) -> bool:
        """Whether a name stands for anything."""
        return name in await self.every() or bool(self._alive(name).targets)

    async def every(self) -> Mapping[str, ModelSnapshot]:
        """Return all models, by id. Asks the database only after a change."""
        stamp = changes.stamp(TOPIC)
        if stamp is None or stamp != self._stamp:
            self._models, self._aliases = await database_sync_to_async(_load)()
            self._stamp = stamp
        return self._models

    def _alive(self, name: str) -> AliasSnapshot:
        alias = self._aliases.get(name, _NOTHING)
        return alias if clock.timestamp() < alias.ends_at else _NOTHING

    def newest(self, model: ModelSnapshot) -> ModelSnapshot:
        """Return a model as it was read last, without asking anyone; one that was retired since then stays as it is."""
        return self._models.get(model.id, model)


_NOTHING = AliasSnapshot(())


def snapshot_of(endpoint: Endpoint) -> EndpointSnapshot:
    """Return an endpoint as the engines need to know it."""
    return EndpointSnapshot(
        endpoint.id,
        endpoint.kind,
        endpoint.base_url.rstrip("/"),
        endpoint.credential,
        endpoint.upstream_model or ("tgi" if endpoint.kind == Endpoint.Kind.TGI else endpoint.model_id),
        endpoint.concurrency,
    )


def _load() -> tuple[dict[str, ModelSnapshot], dict[str, AliasSnapshot]]:
    """Read the whole catalogue."""
    endpoints, prices = _endpoints(), _prices()
    models = {
        model.id: ModelSnapshot(
            model.id,
            model.context_tokens,
            _overhead(model),
            tuple(endpoints[model.id]),
            tuple(prices[model.id]),
            tuple(model.reads),
        )
        for model in Model.objects.exclude(lifecycle=Model.Lifecycle.RETIRED)
    }
    return models, _aliases()


def _aliases() -> dict[str, AliasSnapshot]:
    """Read what names stand for. A retired model's own is one, for a time."""
    retired = Model.objects.filter(lifecycle=Model.Lifecycle.RETIRED, replacement__isnull=False)
    replaced = {
        model.pk: AliasSnapshot(((str(model.replacement_id), None),), _end_of(model.replaced_until))
        for model in retired
        if model.replaced_until
    }
    return replaced | {
        alias.pk: AliasSnapshot(tuple((target["model"], target["weight"]) for target in alias.targets))
        for alias in Alias.objects.all()
    }


def _end_of(day: date) -> float:
    return datetime.combine(day + timedelta(days=1), time(), UTC).timestamp()


def _overhead(model: Model) -> Overhead:
    return Overhead(
        plain=model.template_tokens,
        system=model.template_system_tokens,
        tools=model.template_tools_tokens,
        image=model.image_tokens if "image" in model.modalities else None,
    )


def _endpoints() -> dict[str, list[EndpointSnapshot]]:
    endpoints = defaultdict(list)
    for endpoint in Endpoint.objects.filter(is_enabled=True).order_by("id"):
        endpoints[endpoint.model_id].append(snapshot_of(endpoint))
    return endpoints


def _prices() -> dict[str, list[Rates]]:
    prices = defaultdict(list)
    for price in Price.objects.order_by("-starts_at"):
        prices[price.model_id].append(
            Rates(
                price.id,
                price.starts_at.timestamp(),
                price.input_microcredits_per_mtok,
                price.output_microcredits_per_mtok,
                price.cached_input_microcredits_per_mtok,
            )
        )
    return prices
