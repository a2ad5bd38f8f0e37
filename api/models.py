"""``/v1/models``: every model that can be called, with its limits, prices and features."""

from datetime import UTC
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from rest_framework import serializers
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from api.messages.names import id_in, name_of
from inference.errors import ModelNotFound
from inference.models import Model, Price

MICROCREDITS_PER_CREDIT = 1_000_000


class ModelSerializer(serializers.ModelSerializer[Model]):
    """A model in OpenAI's shape, with what its callers also ask for: limits, prices and features."""

    object = serializers.ReadOnlyField(default="model")
    created = serializers.SerializerMethodField()
    owned_by = serializers.CharField(source="owner")
    root = serializers.CharField(source="id")  # type: ignore[assignment]  # OpenAI's word, and DRF's for another thing
    context_length = serializers.IntegerField(source="context_tokens")
    pricing = serializers.SerializerMethodField()

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
        ]

    def get_created(self, model: Model) -> int:
        """Return when the model was added, in seconds since 1970."""
        return int(model.created_at.timestamp())

    def get_pricing(self, model: Model) -> dict[str, str | int]:
        """Return the price in force: dollars per million tokens, exact, as strings."""
        price = model.current_price
        assert price is not None, "only models with a price in force are shown"
        return rates(price)


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


def _in_anthropics_shape(model: Model) -> dict[str, Any]:
    created_at = model.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    named = {"id": name_of(model.id), "display_name": model.name}
    return {"type": "model", **named, "created_at": created_at, "max_input_tokens": model.context_tokens}


class ModelList(ListAPIView[Model]):
    """``GET /v1/models``: every model that can be called now."""

    serializer_class = ModelSerializer

    def get_queryset(self) -> QuerySet[Model]:
        """Return the callable models, in order of their ids."""
        return Model.objects.callable().order_by("id")

    def list(self, request: Request, *args: object, **kwargs: object) -> Response:
        """Wrap the models as OpenAI does, or as Anthropic does for its clients."""
        models = self.get_queryset()
        if _is_anthropics(request):
            data = [_in_anthropics_shape(model) for model in models]
            ends = (
                {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
            )
            return Response({"data": data, "has_more": False, **ends})
        listed = {"object": "list", "data": self.get_serializer(models, many=True).data}
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
        """Tell of the model as OpenAI does, or as Anthropic does for its clients."""
        if _is_anthropics(request):
            return Response(_in_anthropics_shape(self.get_object()))
        return super().retrieve(request, *args, **kwargs)

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
