"""Whether the endpoints would answer now, for people who look: asked all at once, never waiting long."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from inference.catalog.snapshots import EndpointSnapshot, snapshot_of
from inference.engines import engine_for
from inference.models import Endpoint
from inference.transport.client import HttpClient

CHECK_SECONDS: Final = 1.5
"""What a page waits at most for all of its endpoints together."""
REMEMBERED_SECONDS: Final = 5.0
MAX_REMEMBERED: Final = 1_024

# By everything an answer depends on: until when it holds, and the answer.
Known = dict[EndpointSnapshot, tuple[float, bool]]


async def check(endpoints: Sequence[Endpoint], known: Known) -> dict[int, bool | None]:
    """Return by id whether each endpoint is healthy; None for one that is switched off.

    ``known`` remembers the answers.
    """
    switched_on = [endpoint for endpoint in endpoints if endpoint.is_enabled]
    answers = await asyncio.gather(*(_is_healthy(snapshot_of(endpoint), known) for endpoint in switched_on))
    found: dict[int, bool | None] = dict.fromkeys((endpoint.pk for endpoint in endpoints), None)
    return found | {endpoint.pk: answer for endpoint, answer in zip(switched_on, answers, strict=True)}


async def _is_healthy(address: EndpointSnapshot, known: Known) -> bool:
    good_until, answer = known.get(address, (0.0, False))
    if good_until > time.monotonic():
        return answer
    try:
        async with asyncio.timeout(CHECK_SECONDS), HttpClient() as http:
            answer = await engine_for(address, http).is_healthy()
    except TimeoutError:
        answer = False
    if len(known) >= MAX_REMEMBERED:
        known.clear()
    known[address] = (time.monotonic() + REMEMBERED_SECONDS, answer)
    return answer
