"""Engines, called through the HTTP client of a test's own event loop."""

import asyncio

from inference import engines
from inference.engines.base import Address, Engine
from inference.transport.client import HttpClient
from tests.runtimes import runtime


def http() -> HttpClient:
    """Return the client of the running loop."""
    return runtime().http


def engine_for(address: Address) -> Engine:
    """Return the engine at an address, called through the running loop's client, if a loop runs."""
    return engines.engine_for(address, HttpClient() if asyncio._get_running_loop() is None else http())
