"""Messages between processes, over a real Redis, and what else a network may bring."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from core.redis import RedisAway
from playground.remote_runs import remote_run
from playground.remote_runs.protocol import Question
from playground.remote_runs.redis_channel import ProcessUnreachable, RedisChannel, channel_of
from tests.patience import eventually
from tests.redis_server import RedisServer

ONE, OTHER, GONE = "0" * 8, "1" * 8, "2" * 8
RUN = OTHER + "a" * 24
HELD = Question("held", RUN)
NUMBER = "b" * 32


async def say_run(question: Question) -> Any:
    """Answer with the run that was asked about."""
    return [question.about, question.run]


@asynccontextmanager
async def channel(name: str, answer: Callable[[Question], Awaitable[Any]] = say_run) -> AsyncIterator[RedisChannel]:
    mine = RedisChannel(name, answer)
    hearing = asyncio.create_task(mine.hear())
    await eventually(lambda: mine.hears)
    yield mine
    hearing.cancel()
    await asyncio.gather(hearing, return_exceptions=True)
    await mine.close()


async def test_each_hears_the_answer_to_its_own_question(redis: RedisServer) -> None:
    async with channel(ONE) as one, channel(OTHER) as other:
        runs = [OTHER + f"{number:024x}" for number in range(50)]
        asking = [each.ask(to, Question("held", run)) for run in runs for each, to in ((one, OTHER), (other, ONE))]
        assert await asyncio.gather(*asking) == [["held", run] for run in runs for _ in range(2)]


async def test_a_process_that_is_gone_is_nobody_at_once_and_one_that_hangs_soon(redis: RedisServer) -> None:
    hung = asyncio.Event()

    async def hang(question: Question) -> None:
        await hung.wait()

    async with channel(ONE) as one, channel(OTHER, hang):
        with pytest.raises(ProcessUnreachable):
            await one.ask(GONE, HELD, 60)
        with pytest.raises(ProcessUnreachable):
            await one.ask(OTHER, HELD, 0.1)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"type":"asked"}',
        b'{"type":"told"}',
        b'{"type":"asked","number":"%s","by":"00000000","question":{"about":"burn","run":"r"}}' % NUMBER.encode(),
        b'{"type":"asked","number":"%s","by":"*","question":{"about":"stop","run":"r"}}' % NUMBER.encode(),
        b'{"type":"asked","number":"%s","by":"00000000","question":{"about":"stop","run":{}}}' % NUMBER.encode(),
        b'{"type":"answered","number":"%s","answer":true}' % NUMBER.encode(),
        b"[" * 100_000,
        b'{"type":"answered","number":"%s","answer":%s}' % (NUMBER.encode(), b"[" * 100_000),
        b'{"type":"answered","number":"%s","answer":"\xff"}' % NUMBER.encode(),
    ],
)
async def test_what_is_no_message_is_left_alone(
    redis: RedisServer, message: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with channel(ONE) as one, channel(OTHER):
        with redis.client() as anyone:
            anyone.publish(channel_of(OTHER), message)
            anyone.publish(channel_of(ONE), message)
        assert await one.ask(OTHER, HELD) == ["held", RUN]
    assert not [record for record in caplog.records if record.exc_info]


async def test_when_redis_goes_away_everyonehears_so_and_it_is_found_again(redis: RedisServer) -> None:
    waiting = asyncio.Event()

    async def wait(question: Question) -> bool:
        waiting.set()
        await asyncio.sleep(60)
        return True

    async with channel(ONE) as one, channel(OTHER, wait):
        asking = asyncio.create_task(one.ask(OTHER, HELD, 60))
        await waiting.wait()
        redis.kill()
        with pytest.raises(RedisAway):
            await asking
        with pytest.raises(RedisAway):
            await one.ask(OTHER, HELD)
        redis.start()

        async def is_back() -> bool:
            try:
                await one.ask(OTHER, HELD, 0.1)
            except RedisAway:
                return False
            except ProcessUnreachable:
                return True
            return True

        await eventually(is_back)


@pytest.mark.parametrize(
    "told",
    [
        True,
        "ended",
        {"type": "ended"},
        [["ended"]],
        [{"type": "chunks", "run": "c" * 32, "from": 1, "chunks": [{"content": "of another run"}]}],
        [{"type": "chunks", "run": RUN, "from": "1", "chunks": []}],
        [{"type": "chunks", "run": RUN, "from": 1, "chunks": [{"content": 1}]}],
        [{"type": "revoked", "run": RUN}],
    ],
)
async def test_what_no_process_of_this_site_would_tell_of_a_run_reaches_nobody(told: Any) -> None:
    with pytest.raises(ProcessUnreachable):
        remote_run.checked(told, RUN)
