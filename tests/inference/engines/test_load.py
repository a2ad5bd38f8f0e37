"""How busy engines say that they are."""

from dataclasses import dataclass

import pytest

from inference.engines.base import EndpointAddress
from inference.engines.load import LLAMACPP, SGLANG, TGI, VLLM, Load, Series, load_in
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.server import Connection, Request
from tests.inference.clients import engine_for

VLLM_PAGE = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a b}c"} 7.0
vllm:num_requests_running{engine="1",model_name="x"} 1.0
vllm:num_requests_waiting{engine="0",model_name="x"} 3.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 3.0
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:kv_cache_usage_perc{engine="1"} 0.75
"""


@pytest.mark.parametrize(
    ("page", "series", "load"),
    [
        (VLLM_PAGE, VLLM, Load(8, 3, 0.75)),
        (b"vllm:num_requests_waiting 2\nvllm:gpu_cache_usage_perc 0.5 1700000000000\n", VLLM, Load(0, 2, 0.5)),
        (
            b'sglang:num_running_reqs{a="b"} 2\nsglang:num_queue_reqs{a="b"} 1\nsglang:token_usage 1.5',
            SGLANG,
            Load(2, 1, 1.0),
        ),
        (b"tgi_batch_current_size 4\r\ntgi_queue_size 0\r\n", TGI, Load(4, 0)),
        (b"llamacpp:requests_processing 1\nllamacpp:requests_deferred 9", LLAMACPP, Load(1, 9)),
        (b"tgi_queue_size NaN\ntgi_batch_current_size 1e300\ntgi_queue_size", TGI, None),
        (b"", VLLM, None),
    ],
)
def test_a_metrics_page_is_read(page: bytes, series: Series, load: Load | None) -> None:
    assert load_in(page, series) == load


@dataclass(eq=False)
class Telling(FakeOpenAI):
    """Has a metrics page."""

    def other(self, request: Request, connection: Connection) -> None:
        """Answer the smaller routes."""
        if request.path == "/metrics" and self.owned_by:
            connection.respond(200, VLLM_PAGE, {"content-type": "text/plain"})
        else:
            super().other(request, connection)


async def test_an_engine_is_asked_for_its_own_words() -> None:
    with Telling(owned_by="vllm") as server:
        assert await engine_for(EndpointAddress("vllm", server.url)).load() == Load(8, 3, 0.75)
        # Whose server it is, is not known yet.
        assert await engine_for(EndpointAddress("openai", server.url)).load() is None
    with Telling() as server:
        assert await engine_for(EndpointAddress("vllm", server.url)).load() is None
    assert await engine_for(EndpointAddress("vllm", server.url)).load() is None
