"""Endpoints in the admin panel: how each is now, draining it for maintenance, and asking it again what it takes."""

import asyncio
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from inference.admin.forms import EndpointForm
from inference.admin.hosted import HostedPages
from inference.catalog.registration import told_concurrency
from inference.catalog.snapshots import snapshot_of
from inference.engines import engine_for
from inference.engines.base import Description
from inference.errors import EngineError, EngineTimeout
from inference.models import Endpoint
from inference.routing.circuit_breaker import CircuitState
from inference.routing.endpoint_state import EndpointState, states_of
from inference.transport.client import HttpClient

ASK_SECONDS: Final = 5.0
"""What an operator who asks servers again waits at most for all of them together."""

_LIVE: Final = ("state", "breaker", "in_flight", "waiting", "tokens_per_second", "last_error")


@admin.register(Endpoint)
class EndpointPanel(HostedPages):
    """Servers, with what all processes know of them as of a few seconds ago."""

    form = EndpointForm
    list_display = ["base_url", "model", "state_and_breaker", "in_flight", "waiting", "tokens_per_second", "last_error"]
    list_select_related = ["model"]
    search_fields = ["base_url", "model__id"]
    ordering = ["model_id", "pk"]
    actions = ["drain", "enable", "ask_again"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show how an endpoint is above what it is; leave the credential out where fields are not written."""
        may_write = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        secret = [*["credential"], *(["forget_credential"] if obj else [])] if may_write else []
        fields = ["model", "kind", "base_url", *secret, "upstream_model", "concurrency", "is_enabled"]
        return [*([("Now", {"fields": _LIVE})] if obj else []), ("The server", {"fields": fields})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show what is live, and let nobody write it."""
        return _LIVE if obj else ()

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Ask the endpoint how it is."""
        endpoint = super().get_object(request, object_id, from_field)
        if endpoint:
            endpoint.live = states_of([endpoint])[endpoint.pk]
        return endpoint

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Ask all the endpoints of the page at once how they are."""
        changelist = super().get_changelist_instance(request)
        listed = list(changelist.result_list)
        states = states_of(listed)
        for endpoint in listed:
            endpoint.live = states[endpoint.pk]
        changelist.result_list = listed
        return changelist

    @admin.display
    def state(self, endpoint: Any) -> SafeString:
        """Return how the endpoint is."""
        live: EndpointState = endpoint.live
        return format_html('<span class="health health-{}">{}</span>', live.word, live.label)

    @admin.display(description="state")
    def state_and_breaker(self, endpoint: Any) -> SafeString:
        """Return how the endpoint is, and its circuit breaker where that is not closed."""
        live: EndpointState = endpoint.live
        state = self.state(endpoint)
        return state if live.circuit is CircuitState.CLOSED else format_html("{}<br>{}", state, live.breaker)

    @admin.display(description="circuit breaker")
    def breaker(self, endpoint: Any) -> str:
        """Return whether requests are sent there."""
        live: EndpointState = endpoint.live
        return live.breaker

    @admin.display
    def in_flight(self, endpoint: Any) -> str:
        """Return how many of its slots are taken."""
        live: EndpointState = endpoint.live
        return f"{live.running} of {live.slots}"

    @admin.display(description="waiting")
    def waiting(self, endpoint: Any) -> str:
        """Return how many wait for the model, whichever of its endpoints they will get."""
        live: EndpointState = endpoint.live
        return str(live.waiting)

    @admin.display(description="tokens/s")
    def tokens_per_second(self, endpoint: Any) -> str:
        """Return how quickly it generated of late."""
        live: EndpointState = endpoint.live
        return f"{live.tokens_per_second:.1f}"

    @admin.display
    def last_error(self, endpoint: Any) -> str:
        """Return how it failed last, and how long ago."""
        live: EndpointState = endpoint.live
        return f"{live.last_failure.error} ({timesince(live.last_failure.at)} ago)" if live.last_failure else "-"

    @admin.action(description="Drain: send no new requests", permissions=["change"])
    def drain(self, request: HttpRequest, endpoints: "QuerySet[Endpoint]") -> None:
        """Send no new request there; what runs there ends by itself."""
        self._switch(request, endpoints.filter(is_enabled=True), is_enabled=False)

    @admin.action(description="Enable: send requests again", permissions=["change"])
    def enable(self, request: HttpRequest, endpoints: "QuerySet[Endpoint]") -> None:
        """Send requests there again."""
        self._switch(request, endpoints.filter(is_enabled=False), is_enabled=True)

    def _switch(self, request: HttpRequest, endpoints: "QuerySet[Endpoint]", *, is_enabled: bool) -> None:
        for endpoint in endpoints:
            Endpoint.objects.filter(pk=endpoint.pk).update(is_enabled=is_enabled)
            self.log_change(request, endpoint, "Enabled." if is_enabled else "Drained.")

    @admin.action(description="Ask the server again how many requests it takes", permissions=["change"])
    def ask_again(self, request: HttpRequest, endpoints: "QuerySet[Endpoint]") -> None:
        """Take over what each server tells of itself."""
        asked = list(endpoints.select_related("model"))
        for endpoint, answer in zip(asked, async_to_sync(_descriptions)(asked), strict=True):
            if isinstance(answer, EngineError):
                sentence = (
                    f"The server at {endpoint.base_url} does not tell ({type(answer).__name__}); nothing was changed."
                )
                self.message_user(request, sentence, messages.WARNING)
                continue
            self._take_over(request, endpoint, answer)

    def _take_over(self, request: HttpRequest, endpoint: Endpoint, told: Description) -> None:
        before, concurrency = endpoint.concurrency, told_concurrency(told)
        if concurrency is None:
            self.message_user(
                request, f"The server at {endpoint.base_url} does not tell how many; {before} at once as before."
            )
        elif concurrency == before:
            self.message_user(request, f"The server at {endpoint.base_url} takes {before} at once, as before.")
        else:
            Endpoint.objects.filter(pk=endpoint.pk).update(concurrency=concurrency)
            self.log_change(request, endpoint, f"Asked again: {concurrency} at once, before {before}.")
            self.message_user(
                request, f"The server at {endpoint.base_url} takes {concurrency} at once; it was {before}."
            )
        if told.context_tokens and told.context_tokens < endpoint.model.context_tokens:
            sentence = (
                f"The server at {endpoint.base_url} takes {told.context_tokens} tokens of context, "
                f"but {endpoint.model} is listed with {endpoint.model.context_tokens}."
            )
            self.message_user(request, sentence, messages.WARNING)


async def _descriptions(endpoints: list[Endpoint]) -> list[Description | EngineError]:
    return await asyncio.gather(*(_description(endpoint) for endpoint in endpoints))


async def _description(endpoint: Endpoint) -> Description | EngineError:
    try:
        async with asyncio.timeout(ASK_SECONDS), HttpClient() as http:
            return await engine_for(snapshot_of(endpoint), http).describe()
    except TimeoutError:
        return EngineTimeout()
    except EngineError as error:
        return error
