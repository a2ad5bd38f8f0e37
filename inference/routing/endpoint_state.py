"""How the endpoints are now, for people who look: what the servers say, and what the processes know of them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from asgiref.sync import async_to_sync

from inference.models import Endpoint
from inference.routing import health, reports
from inference.routing.circuit_breaker import CircuitState
from inference.routing.replicas import Failure
from inference.routing.reports import Report
from inference.runtime import serving


class EndpointState(NamedTuple):
    """One endpoint, as all processes together know it."""

    # None for one that is switched off.
    is_healthy: bool | None
    running: int
    slots: int
    # For its model, whichever endpoint they will get.
    waiting: int
    tokens_per_second: float
    circuit: CircuitState
    # Until it is tried again, if it passes health checks.
    open_seconds: int
    # In how many processes the breaker is not closed, of how many that told of it.
    opened: int
    telling: int
    last_failure: Failure | None

    @property
    def answers(self) -> bool:
        """Whether a request that comes now may well be answered."""
        return bool(self.is_healthy) and self.circuit is not CircuitState.OPEN

    @property
    def word(self) -> str:
        """How it is, in one word: up, down, failing, draining or off."""
        if self.is_healthy is None:
            return "draining" if self.running else "off"
        if not self.is_healthy:
            return "down"
        return "up" if self.circuit is CircuitState.CLOSED else "failing"

    @property
    def label(self) -> str:
        """How it is, as people read it."""
        if self.word == "draining":
            return f"Draining, {self.running} in flight"
        return self.word.capitalize()

    @property
    def breaker(self) -> str:
        """How its circuit breaker is, as people read it."""
        until = f"for {self.open_seconds} s" if self.open_seconds else "until it passes health checks"
        sentence = {
            CircuitState.CLOSED: "Circuit closed",
            CircuitState.HALF_OPEN: "Circuit half-open: one request tries it",
            CircuitState.OPEN: f"Circuit open {until}",
        }[self.circuit]
        return (
            f"{sentence} (in {self.opened} of {self.telling} processes)" if 0 < self.opened < self.telling else sentence
        )


def states_of(endpoints: Sequence[Endpoint]) -> dict[int, EndpointState]:
    """Return by id how each endpoint is. Asks the servers, all at once, and waits for health.CHECK_SECONDS at most."""
    runtime = serving()
    answers = async_to_sync(health.check)(endpoints, runtime.endpoint_health if runtime else {})
    told = reports.every()
    return {endpoint.pk: _state(endpoint, answers[endpoint.pk], told) for endpoint in endpoints}


def _state(endpoint: Endpoint, is_healthy: bool | None, told: Sequence[Report]) -> EndpointState:
    found = [each for report in told for each in report.replicas if each.endpoint_id == endpoint.pk]
    worst = max((CircuitState(each.breaker) for each in found), default=CircuitState.CLOSED)
    failures = [each.last_failure for each in found if each.last_failure]
    return EndpointState(
        is_healthy,
        running=sum(each.running for each in found),
        slots=endpoint.concurrency,
        waiting=sum(report.waiting.get(endpoint.model_id, 0) for report in told),
        tokens_per_second=sum(each.tokens_per_second for each in found),
        circuit=worst,
        open_seconds=math.ceil(max((each.open_seconds for each in found), default=0)),
        opened=sum(each.breaker != CircuitState.CLOSED for each in found),
        telling=len(told),
        last_failure=max(failures, key=lambda failure: failure.at, default=None),
    )
