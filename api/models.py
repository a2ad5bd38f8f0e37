"""``/v1/models``: every model that can be called, with its limits, prices and features; and the names for several."""

from collections.abc import Sequence
from datetime import UTC
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.http import Http404
from rest_framework import serializers
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from api.messages.names import id_in, name_of
from inference.errors import ModelNotFound
from inference.models import Alias, Model, Price

MICROCREDITS_PER_CREDIT = 1_000_000


class ModelSerializer(serializers.ModelSerializer[Model]):
    """A model in OpenAI's shape, with what its callers also ask for: limits, prices and features."""

    object = serializers.ReadOnlyField(default="model")
    created = serializers.SerializerMethodField()
    owned_by = serializers.CharField(source="owner")
    root = serializers.CharField(source="id")  # type: ignore[assignment]  # OpenAI's word, and DRF's for another thing
    context_length = serializers.IntegerField(source="context_tokens")
    pricing = serializers.SerializerMethodField()
    targets = serializers.ReadOnlyField(default=None)

    class Meta:
        model = Model
        fields = [
            "id",
            "object",
            "created",
            "owned_by",
            "root",
            "name",
            "description",
            "context_length",
            "modalities",
            "features",
            "parameters_total",
            "parameters_active",
            "license",
            "released_on",
            "lifecycle",
            "replacement",
            "pricing",
            "targets",
        ]

    def get_created(self, model: Model) -> int:
        """Return when the model was added, in seconds since 1970."""
        return int(model.created_at.timestamp())

    def get_pricing(self, model: Model) -> dict[str, str | int]:
        """Return the price in force: dollars per million tokens, exact, as strings."""
        price = model.current_price
        assert price is not None, "only models with a price in force are shown"
        return rates(price)


class CallableAlias(NamedTuple):
    """A name for several models, with those of them that can be called, in the order of its targets."""

    alias: Alias
    models: Sequence[Model]

    @property
    def context_tokens(self) -> int:
        """What any of them can take."""
        return min(model.context_tokens for model in self.models)

    @property
    def fields(self) -> dict[str, Any]:
        """What is told in OpenAI's shape: what can be counted on, whichever answers, and what it costs at most."""
        first, *others = self.models
        weights = {target["model"]: target["weight"] for target in self.alias.targets}
        prices = [price for model in self.models if (price := model.current_price)]
        dearest = Price(**{field: max(getattr(price, field) for price in prices) for field in _RATES})
        return {
            "id": self.alias.name,
            "object": "model",
            "created": int(self.alias.created_at.timestamp()),
            "owned_by": "",
            "root": self.alias.name,
            "name": self.alias.name,
            "description": "",
            "context_length": self.context_tokens,
            "modalities": [each for each in first.modalities if all(each in other.modalities for other in others)],
            "features": [each for each in first.features if all(each in other.features for other in others)],
            "parameters_total": None,
            "parameters_active": None,
            "license": "",
            "released_on": None,
            "lifecycle": Model.Lifecycle.AVAILABLE.value,
            "replacement": None,
            "pricing": rates(dearest),
            "targets": [{"model": model.id, "weight": weights[model.id]} for model in self.models],
        }


_RATES = ("input_microcredits_per_mtok", "output_microcredits_per_mtok", "cached_input_microcredits_per_mtok")


def callable_aliases(aliases: "QuerySet[Alias]", models: "QuerySet[Model] | Sequence[Model]") -> list[CallableAlias]:
    """Return those of the aliases that stand for at least one of the models."""
    known = {model.id: model for model in models}
    found = [
        CallableAlias(alias, [known[each["model"]] for each in alias.targets if each["model"] in known])
        for alias in aliases
    ]
    return [each for each in found if each.models]


def rates(price: Price) -> dict[str, str | int]:
    """Return a price's rates: dollars per million tokens, exact, as strings."""
    return {
        "currency": "USD",
        "unit": "per_million_tokens",
        "input": _dollars(price.input_microcredits_per_mtok),
        "output": _dollars(price.output_microcredits_per_mtok),
        "cached_input": _dollars(price.cached_input_microcredits_per_mtok),
    }


def _dollars(microcredits: int) -> str:
    return f"{Decimal(microcredits) / MICROCREDITS_PER_CREDIT:f}"


def _is_anthropics(request: Request) -> bool:
    """Whether this is one of Anthropic's clients."""
    return "anthropic-version" in request.headers


def _in_anthropics_shape(listed: Model | CallableAlias) -> dict[str, Any]:
    row = listed.alias if isinstance(listed, CallableAlias) else listed
    created_at = row.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    named = {"id": name_of(row.pk), "display_name": row.name}
    return {"type": "model", **named, "created_at": created_at, "max_input_tokens": listed.context_tokens}


class ModelList(ListAPIView[Model]):
    """``GET /v1/models``: every model that can be called now, and then every alias."""

    serializer_class = ModelSerializer

    def get_queryset(self) -> QuerySet[Model]:
        """Return the callable models, in order of their ids."""
        return Model.objects.callable().order_by("id")

    def list(self, request: Request, *args: object, **kwargs: object) -> Response:
        """Wrap the models as OpenAI does, or as Anthropic does for its clients."""
        models = list(self.get_queryset())
        aliases = callable_aliases(Alias.objects.order_by("name"), models)
        if _is_anthropics(request):
            data = [*map(_in_anthropics_shape, models), *map(_in_anthropics_shape, aliases)]
            ends = (
                {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
            )
            return Response({"data": data, "has_more": False, **ends})
        told = [*self.get_serializer(models, many=True).data, *(each.fields for each in aliases)]
        listed = {"object": "list", "data": told}
        # Codex reads a list of its own kind of models, and goes on with what it knows where that is empty.
        return Response(listed | ({"models": []} if "client_version" in request.query_params else {}))


class ModelDetail(RetrieveAPIView[Model]):
    """``GET /v1/models/{id}``, where the id may hold a slash."""

    serializer_class = ModelSerializer
    lookup_url_kwarg = "model_id"

    def get_queryset(self) -> QuerySet[Model]:
        """Look among the callable models only."""
        return Model.objects.callable()

    def retrieve(self, request: Request, *args: object, **kwargs: object) -> Response:
        """Tell of the model, or the alias, as OpenAI does, or as Anthropic does for its clients."""
        try:
            model = self.get_object()
        except ModelNotFound:
            alias = _alias(self.kwargs["model_id"])
            if alias is None:
                raise
            return Response(_in_anthropics_shape(alias) if _is_anthropics(request) else alias.fields)
        return Response(_in_anthropics_shape(model) if _is_anthropics(request) else self.get_serializer(model).data)

    def get_object(self) -> Model:
        """Find the model. Raises ModelNotFound."""
        model_id = self.kwargs["model_id"]
        if _is_anthropics(self.request) and not self.get_queryset().filter(pk=model_id).exists():
            model_id = self.kwargs["model_id"] = id_in(model_id)
        # PostgreSQL does not even take the question.
        if "\0" in model_id:
            raise ModelNotFound.named(model_id)
        try:
            return super().get_object()
        except Http404:
            raise ModelNotFound.named(model_id) from None


def _alias(name: str) -> CallableAlias | None:
    """Return an alias that can be called, if there is one of the name."""
    alias = None if "\0" in name else Alias.objects.filter(pk=name)
    if not alias:
        return None
    targets = [each["model"] for each in alias[0].targets]
    return next(iter(callable_aliases(alias, Model.objects.callable().filter(pk__in=targets))), None)
