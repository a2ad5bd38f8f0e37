"""What is wrong with an endpoint that was to be added, in words, and what to do about it."""

import asyncio
import re
from typing import Final

from inference.engines import engine_for
from inference.engines.base import EndpointAddress
from inference.errors import EngineError
from inference.models import Endpoint
from inference.transport.client import HttpClient

# For all other kinds together, asked at once.
GUESS_SECONDS: Final = 5.0
_STATUS: Final = re.compile(r" answered (\d{3})")
# Who answers to their questions may be any server of OpenAI's dialect, and says which.
_ALIKE: Final = (Endpoint.Kind.VLLM, Endpoint.Kind.SGLANG)


def fault_of(address: EndpointAddress, error: EngineError) -> str:
    """Say which request failed, what the server answered and what to do; asks the server what else it may be."""
    said = error.details or f"{address.base_url} {type(error).__name__}"
    found = _STATUS.search(said)
    return f"{said}. {_advice(address, int(found[1]) if found else None)}"


def _advice(address: EndpointAddress, status: int | None) -> str:
    if status is None:
        return "Is the server running, done with loading, and to be reached from this machine?"
    if status in (401, 403):
        return "It wants another key: give it with --credential."
    other = asyncio.run(_kind_of(address))
    if other:
        return f"It answers as a server of kind {other}: try --kind {other}."
    if status == 404:
        return f"Is it a server of kind {address.kind}, and the address its root, without /v1 or a page's name?"
    if status >= 500:
        return "Its own log says why."
    return f"Is it a server of kind {address.kind}, and is its name for the model right (--upstream-model)?"


async def _kind_of(address: EndpointAddress) -> str | None:
    """Return the kind of server that one turns out to be; None for one that is no other."""
    async with HttpClient() as http:
        kinds = [each for each in Endpoint.Kind.values if each not in _ALIKE]
        told = await asyncio.gather(*(_answers_as(kind, address, http) for kind in kinds))
    found = [kind for kind in told if kind]
    # OpenAI's dialect is spoken by the others too.
    kind = next((kind for kind in found if kind != Endpoint.Kind.OPENAI), found[0] if found else None)
    return kind if kind != address.kind else None


async def _answers_as(kind: str, address: EndpointAddress, http: HttpClient) -> str | None:
    other = EndpointAddress(kind, address.base_url, address.credential, address.upstream_model)
    try:
        async with asyncio.timeout(GUESS_SECONDS):
            described = await engine_for(other, http).describe()
    except (EngineError, TimeoutError):
        return None
    return (described.server or kind) if described.model else None
