"""The engines: one dialect per kind of endpoint, behind ``base.Engine``."""

from functools import lru_cache

from inference.engines.base import Address, EndpointAddress, Engine
from inference.engines.llamacpp import LlamaCppEngine
from inference.engines.openai import OpenAIEngine
from inference.engines.tgi import TgiEngine
from inference.transport.client import HttpClient

_DIALECTS = {"tgi": TgiEngine, "openai": OpenAIEngine, "llamacpp": LlamaCppEngine}


def engine_for(address: Address, http: HttpClient) -> Engine:
    """Return the engine at an address, the same one while it is in use. Raises KeyError for an unknown kind."""
    return _engine(EndpointAddress(address.kind, address.base_url, address.credential, address.upstream_model), http)


@lru_cache(maxsize=1024)
def _engine(address: EndpointAddress, http: HttpClient) -> Engine:
    return _DIALECTS[address.kind](address, http)
