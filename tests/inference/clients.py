"""The HTTP client of a test's own event loop, which is closed with it."""

import asyncio

from inference import engines
from inference.engines.base import Address, Engine
from inference.transport import client
from inference.transport.client import HttpClient


def http() -> HttpClient:
    """Return the client of the running loop."""
    return client.shared()


def engine_for(address: Address) -> Engine:
    """Return the engine at an address, called through the running loop's client, if a loop runs."""
    return engines.engine_for(address, HttpClient() if asyncio._get_running_loop() is None else http())
