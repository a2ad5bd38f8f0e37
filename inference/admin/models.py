"""Models, prices and runs in the admin panel; endpoints and limits have a module each."""

from typing import Any

from django.contrib import admin
from django.db.models import Model as DatabaseModel
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.admin.base import Panel, ReadOnlyInline, ReadOnlyPanel
from credits.money import format_dollars, marked_dollars
from inference.admin.endpoints import EndpointPanel
from inference.admin.forms import AliasForm, ModelForm, PriceForm
from inference.admin.limits import ConcurrencyLimitPanel
from inference.catalog.aliases import written
from inference.models import Alias, Endpoint, Model, Price, Run

__all__ = ["AliasPanel", "ConcurrencyLimitPanel", "EndpointPanel", "ModelPanel", "PricePanel", "RunPanel"]

# A micro-credit is a thousand nano-credits.
_NANO_PER_MICRO = 1_000


class _PriceColumns:
    """Prices in dollars per million tokens."""

    @admin.display(description="input")
    def input_dollars(self, price: Price) -> str:
        """Return the price of prompt tokens."""
        return format_dollars(price.input_microcredits_per_mtok * _NANO_PER_MICRO)

    @admin.display(description="output")
    def output_dollars(self, price: Price) -> str:
        """Return the price of generated tokens."""
        return format_dollars(price.output_microcredits_per_mtok * _NANO_PER_MICRO)

    @admin.display(description="cached input")
    def cached_input_dollars(self, price: Price) -> str:
        """Return the price of prompt tokens that the engine remembered."""
        return format_dollars(price.cached_input_microcredits_per_mtok * _NANO_PER_MICRO)

    @admin.display
    def state(self, price: Price) -> str:
        """Say whether this version is the one that runs are charged by now."""
        if price == price.model.current_price:
            return "in force"
        return "planned" if price.starts_at > timezone.now() else "replaced"


_PRICES = ("input_dollars", "output_dollars", "cached_input_dollars")


class PriceRows(_PriceColumns, ReadOnlyInline):
    """A model's prices, the newest first."""

    model = Price
    ordering = ["-starts_at"]
    fields = readonly_fields = ("starts_at", "state", *_PRICES)
    verbose_name_plural = "prices per million tokens"


class EndpointRows(ReadOnlyInline):
    """A model's endpoints; each has a page of its own."""

    model = Endpoint
    ordering = ["pk"]
    fields = readonly_fields = ("kind", "base_url", "concurrency", "is_enabled")
    show_change_link = True


@admin.register(Model)
class ModelPanel(Panel):
    """The catalogue."""

    form = ModelForm
    list_display = ["id", "name", "lifecycle", "context_tokens", "price", "endpoint_count"]
    list_filter = ["lifecycle"]
    search_fields = ["id", "name"]
    ordering = ["id"]
    inlines = [PriceRows, EndpointRows]
    fieldsets = [
        (None, {"fields": ["id", "name", "description", "lifecycle", "replacement", "replaced_until"]}),
        ("What it can do", {"fields": ["context_tokens", "modalities", "features"]}),
        (
            "What a prompt can be at most",
            {"fields": ["template_tokens", "template_system_tokens", "template_tools_tokens", "image_tokens"]},
        ),
        (
            "Card",
            {"fields": ["parameters_total", "parameters_active", "license", "hub_url", "released_on"]},
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Model]":
        """Fetch prices and endpoints along."""
        return super().get_queryset(request).prefetch_related("prices", "endpoints")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Keep a model's id once it has one: it is in programs."""
        return [] if obj is None else ["id"]

    @admin.display(description="price per million tokens")
    def price(self, model: Model) -> str:
        """Return the price in force; without one the model cannot be called."""
        price = model.current_price
        columns = _PriceColumns()
        return (
            f"{columns.input_dollars(price)} in, {columns.output_dollars(price)} out" if price else "none: not callable"
        )

    @admin.display(description="endpoints")
    def endpoint_count(self, model: Model) -> str:
        """Return how many endpoints are switched on, of how many."""
        endpoints = model.endpoints.all()
        return f"{sum(endpoint.is_enabled for endpoint in endpoints)} of {len(endpoints)}"


@admin.register(Alias)
class AliasPanel(Panel):
    """Names that stand for several models."""

    form = AliasForm
    list_display = ["name", "stands_for"]
    search_fields = ["name"]
    ordering = ["name"]
    fields = ["name", "targets"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Keep an alias's name once it has one: it is in programs."""
        return [] if obj is None else ["name"]

    @admin.display(description="stands for")
    def stands_for(self, alias: Alias) -> str:
        """Return its targets, as they are written."""
        return ", ".join(written(alias.targets))


@admin.register(Price)
class PricePanel(_PriceColumns, ReadOnlyPanel):
    """Price versions: added, never changed or deleted."""

    form = PriceForm
    list_display = ["model", "starts_at", "state", *_PRICES]
    list_select_related = ["model"]
    search_fields = ["model__id"]
    ordering = ["-starts_at"]

    def has_add_permission(self, request: HttpRequest, obj: DatabaseModel | None = None) -> bool:
        """Ask Django's permission."""
        return request.user.has_perm("inference.add_price")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Ask for dollars, and show dollars."""
        return ["model", "starts_at", *(["state"] if obj else []), *_PRICES]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Compute what is only looked at."""
        return ["state", *_PRICES] if obj else []

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Price]":
        """Fetch along the versions that one of them is in force of."""
        return super().get_queryset(request).prefetch_related("model__prices")


@admin.register(Run)
class RunPanel(ReadOnlyPanel):
    """What became of each call, the latest first."""

    list_display = [
        "started_at",
        "id",
        "project",
        "user",
        "model",
        "ending",
        "prompt_tokens",
        "delivered_tokens",
        "cost",
    ]
    list_display_links = ["id"]
    list_select_related = ["project__team", "user"]
    list_filter = ["ending", "started_at", "model"]
    # The front page leads to today's errors.
    named_lookups = ["ending__in"]
    search_fields = ["=id", "=key", "=user__email", "=project__slug", "=project__team__slug"]
    ordering = ["-started_at"]
    fields = [
        *("id", "project", "user", "key", "model", "price", "endpoint", "streamed", "clamped_to"),
        *("ending", "limited_by", "error"),
        *("started_at", "first_token_at", "ended_at"),
        *("prompt_tokens", "cached_tokens", "generated_tokens", "delivered_tokens", "counting", "held", "cost"),
    ]

    @admin.display(ordering="cost_nano")
    def cost(self, run: Run) -> str:
        """Return what the run cost."""
        return marked_dollars(run.cost_nano)

    @admin.display
    def held(self, run: Run) -> str:
        """Return what was set aside for it at most."""
        return marked_dollars(run.held_nano)
