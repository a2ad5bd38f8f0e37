"""The engines: one dialect per kind of endpoint, behind ``base.Engine``."""

from functools import lru_cache

from inference.engines.base import Address, EndpointAddress, Engine
from inference.engines.llamacpp import LlamaCppEngine
from inference.engines.ollama import OllamaEngine
from inference.engines.openai import OpenAIEngine
from inference.engines.tgi.engine import TgiEngine
from inference.engines.vllm import SglangEngine, VllmEngine
from inference.transport.client import HttpClient

_DIALECTS: dict[str, type[OpenAIEngine]] = {
    "vllm": VllmEngine,
    "sglang": SglangEngine,
    "tgi": TgiEngine,
    "llamacpp": LlamaCppEngine,
    "ollama": OllamaEngine,
    "openai": OpenAIEngine,
}


def engine_for(address: Address, http: HttpClient) -> Engine:
    """Return the engine at an address, the same one while it is in use. Raises KeyError for an unknown kind."""
    return _engine(EndpointAddress(address.kind, address.base_url, address.credential, address.upstream_model), http)


@lru_cache(maxsize=1024)
def _engine(address: EndpointAddress, http: HttpClient) -> Engine:
    return _DIALECTS[address.kind](address, http)
