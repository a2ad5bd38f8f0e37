"""What the playground offers and an engine would refuse, so that the page can say so before anybody tries."""

from functools import cache
from typing import Any

from inference.engines import engine_for
from inference.engines.base import EndpointAddress
from inference.errors import UnsupportedParameter
from inference.transport.client import HttpClient
from playground.conversations.requests import PARAMETERS, encode
from web.chat import parse

# Each parameter with a value that means something.
_TRIALS: dict[str, Any] = {
    "max_tokens": 16,
    "temperature": 0.5,
    "top_p": 0.5,
    "frequency_penalty": 1,
    "presence_penalty": 1,
    "seed": 1,
    "stop": ["."],
    "response_format": {"type": "json_object"},
}


@cache
def refused_by(kind: str) -> frozenset[str]:
    """Return the parameters of the playground that an endpoint of this kind refuses, as its engine says itself."""
    return frozenset(name for name in PARAMETERS if _refuses(kind, name))


def _refuses(kind: str, name: str) -> bool:
    body = {"model": "any", "messages": [{"role": "user", "content": "any"}], name: _TRIALS[name]}
    try:
        # Nobody is called: what a dialect cannot say is known without its server.
        engine_for(EndpointAddress(kind, "http://127.0.0.1"), HttpClient()).check(parse(encode(body)))
    except UnsupportedParameter:
        return True
    return False
