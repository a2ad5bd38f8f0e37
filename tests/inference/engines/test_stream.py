"""How any engine's stream begins, goes on and ends; TGI stands for all."""

import asyncio
import socket
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

import pytest
from pytest_django.fixtures import Settings

from inference.engines.base import EndpointAddress, Engine
from inference.errors import (
    EngineError,
    EngineFailed,
    EngineOverloaded,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
)
from inference.transport import client
from tests.fakes.raw import RawServer, Reply
from tests.fakes.script import Script
from tests.fakes.server import Connection, FakeServer, Request
from tests.fakes.tgi import FakeTgi
from tests.inference.clients import engine_for, http
from tests.inference.engines.conversation import answer, chat, final_usage, finish_reasons, stream, text
from tests.patience import PATIENCE_SECONDS, eventually


def engine_at(tgi: FakeTgi, credential: str = "") -> Engine:
    return engine_for(EndpointAddress("tgi", tgi.url, credential))


async def test_an_answer_comes_with_its_text_finish_reason_and_usage() -> None:
    with FakeTgi() as tgi:
        chunks = await answer(engine_at(tgi), max_tokens=5)
    assert text(chunks) == "The quick brown fox jumps"
    assert finish_reasons(chunks) == ["length"]
    usage = final_usage(chunks)
    assert usage is not None
    assert usage.completion_tokens == 5
    assert usage.prompt_tokens > 0


async def test_many_tokens_in_one_write_come_as_one_batch() -> None:
    with FakeTgi(script=Script(tokens_per_write=10)) as tgi:
        async with aclosing(stream(engine_at(tgi), chat(), 10)) as batches:
            assert len(await anext(batches)) >= 10


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_an_answer_split_at_any_byte_is_the_same(size: int) -> None:
    tokens = ("Sch", "ön", "\u2028", "!\x85")
    with FakeTgi(script=Script(answer=tokens, bytes_per_write=size)) as tgi:
        assert text(await answer(engine_at(tgi))) == "".join(tokens)


async def test_a_connection_is_used_again_after_an_answer() -> None:
    with FakeTgi() as tgi:
        for _ in range(3):
            await answer(engine_at(tgi), max_tokens=3)
        assert tgi.connections == 1
        assert [request.closed_at for request in tgi.requests] == [None] * 3


async def test_a_connection_that_the_server_closed_meanwhile_is_replaced() -> None:
    with FakeTgi() as tgi:
        await answer(engine_at(tgi), max_tokens=1)
        tgi.close_connections()
        assert text(await answer(engine_at(tgi), max_tokens=1)) == "The"


async def test_closing_the_stream_closes_the_connection_within_a_second() -> None:
    with FakeTgi(script=Script(between=0.01)) as tgi:
        batches = stream(engine_at(tgi), chat(), 4000)
        await anext(batches)
        await batches.aclose()
        await eventually(lambda: tgi.requests[0].closed_at, 1)
        assert 0 < tgi.requests[0].tokens_sent < 4000


@pytest.mark.parametrize("script", [Script(before_headers=60), Script(before_first=60), Script(silent_after=1)])
async def test_cancelling_the_reader_closes_the_connection_within_a_second(script: Script) -> None:
    with FakeTgi(script=script) as tgi:
        task = asyncio.create_task(answer(engine_at(tgi), max_tokens=10))
        await eventually(lambda: tgi.requests)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: tgi.requests[0].closed_at, 1)


async def test_a_reader_that_stops_reading_stops_the_engine() -> None:
    with FakeTgi(script=Script(endless=True, tokens_per_write=100)) as tgi:
        batches = stream(engine_at(tgi), chat(), 4000)
        await anext(batches)

        async def has_stopped() -> bool:
            sent = tgi.requests[0].tokens_sent
            await asyncio.sleep(0.3)
            return tgi.requests[0].tokens_sent == sent

        await eventually(has_stopped)
        await batches.aclose()


@pytest.mark.parametrize("script", [Script(before_headers=60), Script(before_first=60, keep_alive=0.05)])
async def test_a_first_token_that_does_not_come_ends_the_wait(settings: Settings, script: Script) -> None:
    settings.FIRST_TOKEN_SECONDS = 0.2
    with FakeTgi(script=script) as tgi:
        with pytest.raises(EngineTimeout):
            await answer(engine_at(tgi))
        await eventually(lambda: not tgi.live)


async def test_silence_between_tokens_ends_the_wait_though_keep_alives_come(settings: Settings) -> None:
    settings.BETWEEN_TOKENS_SECONDS = 0.2
    with FakeTgi(script=Script(silent_after=3, tokens_per_write=3, keep_alive=0.05)) as tgi:
        batches = []
        with pytest.raises(EngineTimeout):  # noqa: PT012 - what came before the error counts too
            async for batch in stream(engine_at(tgi), chat(), 10):
                batches += batch
        assert text(batches) == "The quick brown"
        await eventually(lambda: tgi.requests[0].closed_at)


EMPTY = b'data: {"choices":[{"index":0,"delta":{"content":""}}]}\n\n'
HELLO = b'data: {"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":"stop"}]}\n\n'
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
# There is no list of models.
UNKNOWN = Reply([b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"])


@pytest.mark.parametrize("sign", [EMPTY, b": PROCESSING\n\n"])
async def test_what_shows_that_an_engine_is_at_work_is_no_silence(settings: Settings, sign: bytes) -> None:
    settings.FIRST_TOKEN_SECONDS = 0.5
    writes = [STREAM_HEAD, *[sign] * 8, HELLO + b"data: [DONE]\n\n"]
    async with RawServer([UNKNOWN, Reply(writes, then="close", between=0.1)]) as server:
        engine = engine_for(EndpointAddress("openai", server.url, "", "org/model"))
        assert text(await answer(engine)) == "Hello"


@pytest.mark.parametrize("then", ["close", "reset", "stay"])
async def test_a_finished_answer_is_whole_however_its_connection_ends(
    settings: Settings, then: Literal["close", "reset", "stay"]
) -> None:
    settings.BETWEEN_TOKENS_SECONDS = 0.2
    async with RawServer([UNKNOWN, Reply([STREAM_HEAD, HELLO], then=then)]) as server:
        engine = engine_for(EndpointAddress("openai", server.url, "", "org/model"))
        assert finish_reasons(await answer(engine)) == ["stop"]


async def test_the_time_that_a_slow_reader_takes_is_not_the_engines(settings: Settings) -> None:
    settings.BETWEEN_TOKENS_SECONDS = 0.5
    with FakeTgi(script=Script(between=0.01)) as tgi:
        said = []
        async for batch in stream(engine_at(tgi), chat(), 4):
            said += batch
            await asyncio.sleep(0.8)
    assert text(said) == "The quick brown fox"


@pytest.mark.parametrize("status", [200, 422])
async def test_an_engine_that_breaks_off_gives_what_it_had_and_fails(status: int) -> None:
    script = Script(break_after=3) if status == 200 else Script(fail_after=3)
    with FakeTgi(script=script) as tgi:
        said = []
        with pytest.raises(EngineFailed):  # noqa: PT012 - what came before the error counts too
            async for batch in stream(engine_at(tgi), chat(), 10):
                said += batch
    assert text(said) == "The quick brown"


async def test_tokens_and_an_error_in_one_write_are_both_seen() -> None:
    with FakeTgi(script=Script(fail_after=10, tokens_per_write=10)) as tgi:
        batches = stream(engine_at(tgi), chat(), 20)
        assert text(await anext(batches)) == "The quick brown fox jumps over the lazy dog."
        with pytest.raises(EngineFailed):
            await anext(batches)


async def test_an_end_without_done_is_fine_after_a_finish_reason() -> None:
    with FakeTgi(script=Script(done=False)) as tgi:
        assert finish_reasons(await answer(engine_at(tgi), max_tokens=2)) == ["length"]


@pytest.mark.parametrize(
    "body",
    [
        b'data: {"choices":[{"index":0,"delta":{"content":"cut"},"finish_reason":null}]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":"cut"},"finish_reason":null}]}\n\ndata: [DONE]\n\n',
        b"data: {not json\n\n",
        b'data: {"choices":"wrong"}\n\n',
        b'data: {"error":' + b"[" * 9_999 + b"]" * 9_999 + b"}\n\n",
        b'data: {"skipped":' + b"[" * 9_999 + b"]" * 9_999 + b"}\n\n",
        b"data: \xff\n\n",
        b"<html>A proxy's page</html>",
        b"",
    ],
)
async def test_an_answer_that_is_not_whole_fails(body: bytes) -> None:
    with FakeTgi(script=Script(response=(200, "text/event-stream", body))) as tgi, pytest.raises(EngineFailed):
        await answer(engine_at(tgi))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, EngineRefused),
        (401, EngineUnavailable),
        (403, EngineUnavailable),
        (404, EngineUnavailable),
        (405, EngineUnavailable),
        (413, EngineRefused),
        (415, EngineUnavailable),
        (422, EngineRefused),
        (424, EngineFailed),
        (429, EngineOverloaded),
        (500, EngineFailed),
        (502, EngineUnavailable),
        (503, EngineUnavailable),
        (301, EngineUnavailable),
    ],
)
async def test_a_status_becomes_the_error_that_it_means(status: int, error: type[EngineError]) -> None:
    with FakeTgi(script=Script(response=(status, "text/plain", b"secret-credential"))) as tgi:
        with pytest.raises(error) as raised:
            await answer(engine_at(tgi, "secret-credential"))
        assert type(raised.value) is error
        assert "secret" not in raised.value.message
        assert "127.0.0.1" not in raised.value.message


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        engine = engine_for(EndpointAddress("tgi", f"http://127.0.0.1:{unused.getsockname()[1]}"))
        with pytest.raises(EngineUnavailable):
            await answer(engine)
        with pytest.raises(EngineUnavailable):
            await engine.count_text("a")
        assert not await engine.is_healthy()


@dataclass(eq=False)
class Babbler(FakeServer):
    """Answers anything with the same bytes."""

    said: bytes = b""

    async def answer(self, request: Request, connection: Connection) -> None:
        """Say it."""
        connection.transport.write(self.said)


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    ],
)
async def test_a_server_that_does_not_speak_http_fails(said: bytes) -> None:
    with Babbler(said=said) as server:
        with pytest.raises(EngineFailed):
            await answer(engine_for(EndpointAddress("tgi", server.url)))
        assert not await engine_for(EndpointAddress("tgi", server.url)).is_healthy()


async def test_an_address_that_is_none_is_unavailable() -> None:
    with pytest.raises(EngineUnavailable):
        await answer(engine_for(EndpointAddress("tgi", "http://[broken")))


async def test_a_body_as_large_as_a_request_may_be_is_sent_whole() -> None:
    words = "x" * 1_900_000
    with FakeTgi() as tgi:
        await answer(engine_at(tgi), chat(messages=[{"role": "user", "content": words}]), 1)
        assert tgi.requests[0].json["messages"][0]["content"] == words


async def test_a_healthy_server_says_so() -> None:
    with FakeTgi() as tgi:
        assert await engine_at(tgi).is_healthy()
        tgi.is_healthy = False
        assert not await engine_at(tgi).is_healthy()


async def test_more_bytes_than_allowed_are_not_read() -> None:
    with FakeTgi() as tgi, pytest.raises(EngineFailed):
        await http().fetch(client.Request("GET", f"{tgi.url}/info", {}), seconds=PATIENCE_SECONDS, limit=10)


async def test_the_same_address_is_the_same_engine() -> None:
    address = EndpointAddress("tgi", "http://localhost", "secret")
    assert engine_for(address) is engine_for(EndpointAddress("tgi", "http://localhost", "secret"))
    assert "secret" not in repr(address)
