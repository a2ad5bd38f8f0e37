"""Engines that speak OpenAI's dialect as it stands: vLLM, SGLang and others. The base of the other dialects."""

import time
from collections.abc import AsyncGenerator
from typing import Any, ClassVar, TypeVar

import msgspec
from django.conf import settings
from msgspec import UNSET, structs

from inference.chat import Chat, Message, StreamOptions
from inference.chunks import Chunk
from inference.engines import http
from inference.engines.base import Address, Description
from inference.engines.reading import AnswerReader
from inference.engines.refusals import MAX_ERROR_BYTES, error_for
from inference.engines.requests import check_common
from inference.engines.sse import EventParser
from inference.engines.watchdog import Watchdog
from inference.errors import EngineError, EngineFailed, EngineTimeout

# A health check may run a real generation: TGI's does after an error.
HEALTH_SECONDS = 5.0
# Counting tokens and asking for a description.
QUESTION_SECONDS = 10.0
# TGI spells out every token of a prompt, about 60 bytes each.
MAX_ANSWER_BYTES = 33_554_432

Answered = TypeVar("Answered")

# Fields that change nothing in the answer, and are not for every server to understand.
_WITHOUT_EFFECT: dict[str, Any] = dict.fromkeys(
    ["max_completion_tokens", "n", "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"]
)
_STREAM_OPTIONS = StreamOptions(include_usage=True)


class OpenAIEngine:
    """An OpenAI-compatible server, always asked for a stream with usage."""

    health_path: ClassVar = "/v1/models"

    def __init__(self, address: Address) -> None:
        self._address = address
        self._root = address.base_url.rstrip("/").removesuffix("/v1")
        self._headers = {"Content-Type": "application/json"}
        if address.credential:
            self._headers["Authorization"] = f"Bearer {address.credential}"

    def check(self, chat: Chat) -> None:
        """Refuse what this engine cannot do. Raises UnsupportedParameter."""
        check_common(chat)

    async def stream(self, chat: Chat, max_tokens: int | None) -> AsyncGenerator[list[Chunk], None]:
        """Generate an answer, yielding whatever each read from the socket brought."""
        began = time.monotonic()
        reader, parser = self.reader(chat), EventParser()
        body = self.encode(chat, max_tokens)
        first_seconds, between_seconds = settings.FIRST_TOKEN_SECONDS, settings.BETWEEN_TOKENS_SECONDS

        def patience() -> float:
            return between_seconds if reader.has_output else max(0, began + first_seconds - time.monotonic())

        async with http.request(
            "POST", f"{self._root}/v1/chat/completions", self._headers, body, seconds=first_seconds
        ) as response:
            if response.status != 200:
                raise await self._error_in(response)
            with Watchdog(response.expire) as watchdog:
                watchdog.wait(patience())
                while not reader.is_ended:
                    received = await response.receive()
                    # A keep-alive is no event, and does not count as progress.
                    events = parser.feed(received)
                    chunks = reader.read(events) if received else reader.end()
                    if chunks:
                        watchdog.rest()
                        yield chunks
                    if events:
                        watchdog.wait(patience())
            if reader.failure:
                raise reader.failure
            await response.drain()

    async def count_prompt(self, chat: Chat) -> int | None:
        """Return None: OpenAI's dialect has no word for it."""
        return None

    async def count_text(self, text: str) -> int | None:
        """Return None: OpenAI's dialect has no word for it."""
        return None

    async def describe(self) -> Description:
        """Find the served model in the list of models; vLLM tells its context there."""
        models = await self.ask("GET", "/v1/models", type=_Models)
        named = [model for model in models.data if model.id == self._address.upstream_model]
        if not named:
            return Description(model=models.data[0].id if len(models.data) == 1 else None)
        return Description(model=named[0].id, context_tokens=named[0].max_model_len)

    async def is_healthy(self) -> bool:
        """Whether the server would answer now; never raises."""
        try:
            status, _ = await http.fetch(
                "GET", self._root + self.health_path, self._headers, seconds=HEALTH_SECONDS, limit=MAX_ANSWER_BYTES
            )
        except EngineError:
            return False
        return status == 200

    def encode(self, chat: Chat, max_tokens: int | None) -> bytes:
        """Write the request's body."""
        return msgspec.json.encode(self.translate(chat, max_tokens))

    def translate(self, chat: Chat, max_tokens: int | None) -> Chat:
        """Return the chat as this engine wants it."""
        return structs.replace(
            chat,
            **_WITHOUT_EFFECT,
            model=self._address.upstream_model,
            messages=[self.message(message) for message in chat.messages],
            max_tokens=max_tokens or chat.completion_limit,
            tools=chat.tools or None,
            stream=True,
            stream_options=_STREAM_OPTIONS,
        )

    def message(self, message: Message) -> Message:
        """Return a message without what a client merely sent back."""
        if message.refusal is UNSET and message.annotations is UNSET and message.tool_calls is UNSET:
            return message
        return structs.replace(message, refusal=UNSET, annotations=UNSET, tool_calls=message.tool_calls or UNSET)

    def error_for(self, status: int, body: bytes) -> EngineError:
        """Return the error for a response that is not a success."""
        return error_for(self._address, status, body)

    def reader(self, chat: Chat) -> AnswerReader:
        """Return what reads the answer to a chat."""
        return AnswerReader(self._address)

    async def ask(self, method: str, path: str, body: bytes | None = None, *, type: type[Answered]) -> Answered:
        """Ask a short question and decode the answer."""
        status, answer = await http.fetch(
            method, self._root + path, self._headers, body, seconds=QUESTION_SECONDS, limit=MAX_ANSWER_BYTES
        )
        if status != 200:
            raise self.error_for(status, answer)
        try:
            return msgspec.json.decode(answer, type=type)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise EngineFailed from error

    async def _error_in(self, response: http.Response) -> EngineError:
        """Return the error for a response that is not a success, waiting briefly for its body."""
        with Watchdog(response.expire) as watchdog:
            watchdog.wait(QUESTION_SECONDS)
            try:
                body = await response.read(MAX_ERROR_BYTES)
            except (EngineFailed, EngineTimeout):
                body = b""
        return self.error_for(response.status, body)


class _Model(msgspec.Struct):
    """A served model."""

    id: str
    max_model_len: int | None = None


class _Models(msgspec.Struct):
    """The list of served models."""

    data: list[_Model] = []
