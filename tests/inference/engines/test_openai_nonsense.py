"""What engines of OpenAI's dialect say that makes no sense, or says nothing."""

from typing import Any

import pytest
from pytest_django.fixtures import Settings

from inference.chunks import Usage
from inference.errors import EngineFailed, EngineTimeout
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.script import Script
from tests.fakes.server import Connection, Request
from tests.inference.engines.conversation import answer, chat, final_usage
from tests.inference.engines.test_openai import engine_at, replaying
from tests.inference.scenes import asked


@pytest.mark.parametrize(
    "logprobs", [b'{"content":12345}', b'{"content":"abc"}', b"[[1, 2]]", b"12345", b'{"refusal":"\xff"}']
)
async def test_logprobs_that_are_none_fail_before_anyone_is_given_them(logprobs: bytes) -> None:
    choice = b'{"index":0,"delta":{"content":"a"},"logprobs":%b,"finish_reason":"stop"}' % logprobs
    body = b'data: {"choices":[%b]}\n\ndata: [DONE]\n\n' % choice
    script = Script(response=(200, "text/event-stream", body))
    with FakeOpenAI(script=script) as server, pytest.raises(EngineFailed):
        await answer(engine_at(server), chat(logprobs=True))


async def test_no_more_is_cached_than_there_is() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 2**31 - 1}}
    with FakeOpenAI(script=replaying({"content": "a"}, usage=usage)) as server:
        assert final_usage(await answer(engine_at(server))) == Usage(5, 2, 5)


async def test_events_that_bring_nothing_are_no_progress(settings: Settings) -> None:
    settings.BETWEEN_TOKENS_SECONDS = 0.3
    said = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}
    nothing: list[dict[str, Any]] = [{"choices": []}] * 10_000
    with FakeOpenAI(script=Script(replayed=[said, *nothing], between=0.01)) as server, pytest.raises(EngineTimeout):
        await answer(engine_at(server))


class LoadingVllm(FakeOpenAI):
    """A vLLM behind a gateway, which answers in its place while it loads."""

    is_loading = True

    def other(self, request: Request, connection: Connection) -> None:
        """Answer the smaller routes."""
        if self.is_loading:
            connection.respond(503, b"", {})
        else:
            super().other(request, connection)


async def test_a_server_that_still_loads_is_asked_again_who_it_is() -> None:
    with LoadingVllm(owned_by="vllm") as server:
        engine = engine_at(server)
        await answer(engine)
        server.is_loading = False
        await answer(engine)
        running = [request.json["stream_options"].get("continuous_usage_stats") for request in asked(server)]
    assert running == [None, True]
