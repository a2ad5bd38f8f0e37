"""The models that can be called now, kept in memory: the hot path never asks the database.

A change made anywhere is seen within one second (``core.changes``).
"""

from collections import defaultdict
from collections.abc import Mapping
from operator import attrgetter

import msgspec
from channels.db import database_sync_to_async

from core import changes, clock
from inference.billing.pricing import Rates
from inference.billing.prompt import Overhead
from inference.chat import Chat, Reading
from inference.errors import ModelNotFound, UnsupportedParameter
from inference.models import Endpoint, Model, Price

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


class Catalog:
    """The models that are not retired, as they were read last."""

    def __init__(self) -> None:
        # Under this stamp they are still true.
        self._stamp: int | None = None
        self._models: Mapping[str, ModelSnapshot] = {}

    async def find(self, model_id: str) -> ModelSnapshot:
        """Return a callable model. Raises ModelNotFound for an unknown or retired one."""
        model = (await self.every()).get(model_id)
        if model is None:
            raise ModelNotFound.named(model_id)
        return model

    async def every(self) -> Mapping[str, ModelSnapshot]:
        """Return all, by id. Asks the database only after a change."""
        stamp = changes.stamp(TOPIC)
        if stamp is None or stamp != self._stamp:
            self._models = await database_sync_to_async(_load)()
            self._stamp = stamp
        return self._models

    def newest(self, model: ModelSnapshot) -> ModelSnapshot:
        """Return a model as it was read last, without asking anyone; one that was retired since then stays as it is."""
        return self._models.get(model.id, model)


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


def _load() -> dict[str, ModelSnapshot]:
    """Read the whole catalogue."""
    endpoints, prices = _endpoints(), _prices()
    return {
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
