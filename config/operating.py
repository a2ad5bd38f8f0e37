"""What machines ask of a running site: its metrics, and whether it lives and is ready.

Outside of Django's middleware: a scraper inside the network speaks plain HTTP to whatever name the site has there.
"""

import asyncio
import hmac
import ipaddress
import os
import threading
import time
from collections.abc import Iterable
from typing import Any, Final, cast
from urllib.parse import urlsplit

import msgspec
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.urls import path
from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    REGISTRY,
    CollectorRegistry,
    Metric,
    disable_created_metrics,
    generate_latest,
    multiprocess,
)
from prometheus_client.registry import Collector

from config import readiness
from inference import metrics
from web.bearer import bearer_secret
from web.exchange import AsgiExchange, Exchange, serve

# A start time for each series would double the page.
disable_created_metrics()

_FORWARDED: Final = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via")
_UNCACHED: Final = {"cache-control": "no-store"}
PAUSE_SECONDS: Final = 0.0005
_rendering = threading.Lock()


def answer_metrics(exchange: Exchange, body: bytes) -> None:
    """``GET /metrics`` in Prometheus's text format, for whoever holds METRICS_TOKEN, or for this machine alone."""
    exchange.run(_answer_metrics(exchange))


async def _answer_metrics(exchange: Exchange) -> None:
    """Render on a thread, so that no stream waits for it."""
    assert isinstance(exchange, AsgiExchange)
    if not may_read(exchange.scope, exchange.headers):
        raise PermissionDenied
    page = await asyncio.to_thread(render)
    exchange.begin(200, CONTENT_TYPE_PLAIN_0_0_4, {"content-length": str(len(page)), **_UNCACHED})
    exchange.finish(page)


def answer_health(exchange: Exchange, body: bytes) -> None:
    """``GET /healthz``: the process lives, and its event loop turns."""
    exchange.respond(200, b'{"status":"ok"}', _UNCACHED)


def answer_readiness(exchange: Exchange, body: bytes) -> None:
    """``GET /readyz``: 200 when requests can be served, else 503 and what is missing; and what waits to be charged."""
    exchange.run(_answer_readiness(exchange))


async def _answer_readiness(exchange: Exchange) -> None:
    """Ask the database, or remember what it said a moment ago."""
    problem = await readiness.problem()
    told: dict[str, object] = {"status": "unavailable", "problem": problem} if problem else {"status": "ok"}
    if waiting := readiness.settlements_waiting():
        told["settlements_waiting"] = waiting
    exchange.respond(503 if problem else 200, msgspec.json.encode(told), _UNCACHED)


_metrics, _health, _readiness = (
    cast(Any, serve(answer)) for answer in (answer_metrics, answer_health, answer_readiness)
)
http_urlpatterns = [
    path("metrics", _metrics),
    path("healthz", _health),
    # Where OpenAI-compatible servers have it.
    path("health", _health),
    path("readyz", _readiness),
]


def may_read(scope: dict[str, Any], headers: dict[bytes, str]) -> bool:
    """Whether the metrics are for this client: it knows METRICS_TOKEN or, where there is none, it is on this machine.

    A proxy on this machine speaks for others, and so does a browser that was led here under a foreign name.
    """
    if settings.METRICS_TOKEN:
        presented = bearer_secret(headers.get(b"authorization", "")) or ""
        return hmac.compare_digest(presented.encode(), settings.METRICS_TOKEN.encode())
    if settings.TRUSTED_PROXIES or not headers.keys().isdisjoint(_FORWARDED):
        return False
    client, _ = scope.get("client") or ("", 0)
    return _is_loopback(client) and _is_loopback(_name_in(headers.get(b"host", "")))


def render() -> bytes:
    """Return the page; one at a time, however many ask.

    With PROMETHEUS_MULTIPROC_DIR, the numbers of all processes that share the folder are added up.
    """
    with _rendering:
        metrics.flush()
        registry = REGISTRY
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)
        pieces = []
        for family in registry.collect():
            pieces.append(generate_latest(_Family(family)))
            # A thread that computes lets the event loop go on every 5 ms only; this lets it go on at once.
            time.sleep(PAUSE_SECONDS)
        return b"".join(pieces)


class _Family(Collector):
    """One family of metrics, to be written by itself."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        """Return the family."""
        return (self._family,)


def _name_in(host: str) -> str:
    """Return the name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
