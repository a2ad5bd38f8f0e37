"""The Runtime of a test's own event loop: a fresh one for each, which ends with it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

from django.core.signals import setting_changed

from inference.runtime import Runtime, serving

_runtimes: dict[asyncio.AbstractEventLoop, Runtime] = {}
_keepers: dict[asyncio.AbstractEventLoop, AsyncGenerator[None, None]] = {}


def runtime() -> Runtime:
    """Return the running loop's Runtime."""
    loop = asyncio.get_running_loop()
    if loop not in _runtimes:
        _runtimes[loop] = Runtime()
        keeper = _keepers[loop] = _keep(loop, _runtimes[loop])
        # It yields at once; from then on the loop knows it.
        with suppress(StopIteration):
            keeper.asend(None).send(None)
    return _runtimes[loop]


async def _keep(loop: asyncio.AbstractEventLoop, kept: Runtime) -> AsyncGenerator[None, None]:
    """Close a Runtime when its loop ends: a loop closes its asynchronous generators before it stops."""
    try:
        yield
    finally:
        del _runtimes[loop], _keepers[loop]
        await kept.__aexit__()


def _read_settings(**changed: Any) -> None:
    """Have what a test says of the settings hold, though a Runtime reads them but once."""
    for each in {*_runtimes.values(), *filter(None, [serving()])}:
        each.read_settings()


setting_changed.connect(_read_settings)
