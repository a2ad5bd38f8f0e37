"""Messages between the processes of all machines, over Redis: questions about runs, and their answers.

Each process hears a channel of its own, by its name. Redis keeps no message, and tells how many heard one:
where that is nobody, the process is gone. What is read comes from a network, so it is one of the two below or nothing.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final

import msgspec
from django.conf import settings

from core import redis
from core.ids import NAME_DIGITS, process_name
from core.redis import PREFIX, RedisAway
from playground.remote_runs.protocol import ANSWER_SECONDS, Question

logger = logging.getLogger(__name__)

# Where nothing came for so long, Redis is asked whether it still listens; then it has as long to say so.
QUIET_SECONDS: Final = 5
# Between two tries to hear again.
RETRY_SECONDS: Final = 0.5
# Of others' questions, those that are being answered at once.
MAX_QUESTIONS: Final = 1_000

Name = Annotated[str, msgspec.Meta(pattern=f"^[0-9a-f]{{{NAME_DIGITS}}}$")]
Number = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


class QuestionMessage(msgspec.Struct, frozen=True, tag="asked"):
    """A question, and who wants to know."""

    number: Number
    by: Name
    question: Question


class AnswerMessage(msgspec.Struct, frozen=True, tag="answered"):
    """The answer to the question of this number."""

    number: Number
    answer: Any


class ProcessUnreachable(Exception):
    """The process is gone, or does not answer in time."""


Answer = Callable[[Question], Awaitable[Any]]

_read = msgspec.json.Decoder(QuestionMessage | AnswerMessage).decode


class RedisChannel:
    """This process's part in it, for the event loop on which it is made."""

    def __init__(self, name: str, answer: Answer) -> None:
        self._name = name
        self.loop = asyncio.get_running_loop()
        self._answer = answer
        self._redis = redis.client(settings.REDIS_URL)
        self.hears = False
        self._awaited: dict[str, asyncio.Future[Any]] = {}
        self._answering: set[asyncio.Task[None]] = set()

    async def ask(self, name: str, question: Question, seconds: float = ANSWER_SECONDS) -> Any:
        """Return what a process answers. Raises RedisAway and ProcessUnreachable."""
        if not self.hears:
            raise RedisAway
        number = secrets.token_hex(16)
        awaited = self._awaited[number] = self.loop.create_future()
        try:
            async with asyncio.timeout(seconds):
                if not await self._send(name, QuestionMessage(number, self._name, question)):
                    raise ProcessUnreachable
                return await awaited
        except TimeoutError:
            raise ProcessUnreachable from None
        finally:
            del self._awaited[number]

    async def tell(self, name: str, question: Question) -> None:
        """Send a question whose answer nobody waits for. Raises RedisAway."""
        await self._send(name, QuestionMessage(secrets.token_hex(16), self._name, question))

    async def hear(self) -> None:
        """Take messages until cancelled; while Redis is away, try again and again."""
        while True:
            try:
                await self._hear()
            except RedisAway:
                # Who counts the places tells of it.
                logger.debug("no messages come")
            except Exception:
                logger.exception("no messages come")
            finally:
                self.hears = False
                for awaited in self._awaited.values():
                    if not awaited.done():
                        awaited.set_exception(RedisAway())
            await asyncio.sleep(RETRY_SECONDS)

    async def close(self) -> None:
        """Let go of Redis and of the questions that were being answered."""
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)
        await self._redis.aclose()

    async def _hear(self) -> None:
        """Take messages. Raises RedisAway when no more can come."""
        is_asked = False
        with redis.translated():
            async with self._redis.pubsub() as channel:
                await channel.subscribe(channel_of(self._name))
                while True:
                    heard = await channel.get_message(timeout=QUIET_SECONDS)
                    if heard is None and is_asked:
                        raise RedisAway
                    is_asked = heard is None
                    if heard is None:
                        await channel.ping()
                    elif heard["type"] == "subscribe":
                        self.hears = True
                    elif heard["type"] == "message":
                        self._take(heard["data"])

    def _take(self, message: bytes) -> None:
        try:
            read = _read(message)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            logger.warning("Redis brought what is no message of this site, of %d bytes", len(message))
            return
        if isinstance(read, QuestionMessage):
            if len(self._answering) < MAX_QUESTIONS:
                task = self.loop.create_task(self._reply(read))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
        elif (awaited := self._awaited.get(read.number)) and not awaited.done():
            awaited.set_result(read.answer)

    async def _reply(self, asked: QuestionMessage) -> None:
        answered = AnswerMessage(asked.number, await self._answer(asked.question))
        try:
            await self._send(asked.by, answered)
        except RedisAway:
            logger.debug("an answer could not be sent")

    async def _send(self, name: str, message: QuestionMessage | AnswerMessage) -> int:
        """Return how many processes heard a message. Raises RedisAway."""
        with redis.translated():
            return int(await self._redis.publish(channel_of(name), msgspec.json.encode(message)))


_channel: RedisChannel | None = None


def is_open() -> bool:
    """Whether this process writes messages at all."""
    return _channel is not None


async def ask(name: str, question: Question, seconds: float = ANSWER_SECONDS) -> Any:
    """Do as ``RedisChannel.ask`` says."""
    if _channel is None:
        raise RedisAway
    return await _channel.ask(name, question, seconds)


async def tell(name: str, question: Question) -> None:
    """Do as ``RedisChannel.tell`` says."""
    if _channel is None:
        raise RedisAway
    await _channel.tell(name, question)


def ask_from_thread(name: str, question: Question) -> Any:
    """Do as ``RedisChannel.ask`` says, for a thread that may wait. Blocks."""
    channel = _channel
    if channel is None:
        raise RedisAway
    asking = asyncio.run_coroutine_threadsafe(channel.ask(name, question), channel.loop)
    try:
        return asking.result(2 * ANSWER_SECONDS)
    except TimeoutError:
        asking.cancel()
        raise ProcessUnreachable from None


@asynccontextmanager
async def opened(answer: Answer) -> AsyncIterator[None]:
    """Write and take messages meanwhile; ``answer`` answers those that ask."""
    global _channel  # noqa: PLW0603
    _channel = channel = RedisChannel(process_name(), answer)
    hearing = asyncio.create_task(channel.hear())
    try:
        yield
    finally:
        _channel = None
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
        await channel.close()


def channel_of(name: str) -> str:
    """Return what a process of this name hears."""
    return f"{PREFIX}process:{name}"
