"""One request to one replica: sent, decoded as its answer comes, and cancelled when no reader is left."""

import asyncio
import math
from typing import Final, Protocol

from core.eager import run_eagerly
from inference.chat import Chat
from inference.chunks import Chunk
from inference.engines.base import Engine
from inference.engines.errors import MAX_ERROR_BYTES
from inference.errors import AskedAmiss, EngineError, EngineTimeout
from inference.limits import Limits
from inference.transport.client import Call, HttpClient

# For the body of a response that is not a success.
REFUSAL_SECONDS: Final = 10.0
# From the finish reason of an answer to the end of its stream: counts come in between.
TAIL_SECONDS: Final = 5.0


class Asker(Protocol):
    """Who made the attempt, and hears what comes of it; nothing more behind its end, its failure or ``leave``."""

    def chunks_came(self, chunks: list[Chunk]) -> None:
        """One read from the engine brought these."""

    def answer_ended(self) -> None:
        """The answer is whole."""

    def attempt_failed(self, error: EngineError) -> None:
        """There is no answer, or it broke off."""

    def broke_down(self, error: Exception) -> None:
        """Something failed that nobody foresaw."""


class Attempt:
    """An attempt, from the engine's first question to the last byte."""

    __slots__ = (
        "_asker",
        "_body",
        "_call",
        "_chat",
        "_deadline",
        "_decoder",
        "_engine",
        "_http",
        "_is_over",
        "_is_paused",
        "_is_second_try",
        "_limits",
        "_max_tokens",
        "_meeting",
        "_seen_signs",
        "_status",
    )

    def __init__(
        self, asker: Asker, engine: Engine, chat: Chat, max_tokens: int | None, *, http: HttpClient, limits: Limits
    ) -> None:
        self._asker = asker
        self._engine = engine
        self._http = http
        self._chat = chat
        self._max_tokens = max_tokens
        self._limits = limits
        self._decoder = engine.decoder(chat, max_tokens)
        self._is_second_try = False
        self._meeting: asyncio.Task[None] | None = None
        self._call: Call | None = None
        self._status = 0
        # Of a response that is not a success.
        self._body = b""
        self._deadline = math.inf
        # As many signs of the engine's work as there were when the deadline was looked at last.
        self._seen_signs = self._decoder.signs
        self._is_paused = self._is_over = False

    def begin(self) -> None:
        """Ask; the first token has to come within FIRST_TOKEN_SECONDS."""
        self._deadline = asyncio.get_running_loop().time() + self._limits.first_token_seconds
        self._meeting = run_eagerly(self._engine.meet(self._chat), self._send, self._fail)

    def leave(self) -> None:
        """Want no more: the engine is told so by the end of its connection."""
        self._is_over = True
        if self._meeting:
            self._meeting.cancel()
        if self._call:
            self._call.leave()

    def pause(self) -> None:
        """Take no more for now. Meanwhile the engine has no deadline."""
        self._is_paused = True
        if self._call:
            self._call.pause()

    def resume(self) -> None:
        """Take what comes again."""
        self._is_paused, self._seen_signs = False, -1
        if self._call:
            self._call.resume()

    def check_deadline(self, now: float) -> None:
        """Fail if the engine has shown no sign of work for too long."""
        decoder = self._decoder
        if self._is_paused:
            return
        if decoder.signs != self._seen_signs:
            self._seen_signs = decoder.signs
            self._deadline = now + self._patience_seconds
        elif now >= self._deadline and not self._is_over:
            self._fail(self._engine.refusal(self._status, b"")) if self._is_refused else self.response_failed(
                EngineTimeout()
            )

    @property
    def _patience_seconds(self) -> float:
        if self._decoder.is_finished:
            return min(self._limits.between_tokens_seconds, TAIL_SECONDS)
        if self._decoder.has_output:
            return self._limits.between_tokens_seconds
        return self._limits.first_token_seconds

    def response_began(self, status: int) -> None:
        """Called by the client."""
        self._status = status
        if self._is_refused:
            self._deadline = asyncio.get_running_loop().time() + REFUSAL_SECONDS

    def body_received(self, data: bytes) -> None:
        """Called by the client."""
        try:
            if not self._is_refused:
                self._pass_on(self._decoder.feed(data))
            else:
                self._body += data
                if len(self._body) > MAX_ERROR_BYTES:
                    self._body = b""
                    self.response_ended()
        except Exception as error:  # noqa: BLE001 - the run tells of it
            self._break_down(error)

    def response_ended(self) -> None:
        """Called by the client."""
        if self._is_refused:
            self._fail(self._engine.refusal(self._status, self._body))
            return
        try:
            self._pass_on(self._decoder.end())
        except Exception as error:  # noqa: BLE001 - the run tells of it
            self._break_down(error)

    def response_failed(self, error: EngineError) -> None:
        """Called by the client. Of a refusal, what it said is lost, but not that it was one."""
        if self._is_refused:
            self._fail(self._engine.refusal(self._status, b""))
            return
        try:
            # An answer that was finished before stays whole.
            self._pass_on(self._decoder.fail(error))
        except Exception as unforeseen:  # noqa: BLE001 - the run tells of it
            self._break_down(unforeseen)

    @property
    def _is_refused(self) -> bool:
        return self._status not in (0, 200)

    def _send(self, _: None) -> None:
        self._meeting = None
        if self._is_over:
            return
        try:
            self._call = self._http.call(self._engine.request(self._chat, self._max_tokens), self)
        except EngineError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - the run tells of it
            self._break_down(error)

    def _pass_on(self, chunks: list[Chunk]) -> None:
        decoder = self._decoder
        if chunks:
            self._asker.chunks_came(chunks)
        if not decoder.is_ended or self._is_over:
            return
        if decoder.failure:
            self._fail(decoder.failure)
            return
        self._is_over = True
        if self._call:
            self._call.leave() if decoder.is_cut_short else self._call.drain()
        self._asker.answer_ended()

    def _fail(self, error: BaseException) -> None:
        if self._is_over:
            return
        if isinstance(error, AskedAmiss) and not self._is_second_try:
            # The engine knows now how its server wants to be asked.
            self._is_second_try, self._status, self._body = True, 0, b""
            self._deadline = asyncio.get_running_loop().time() + self._limits.first_token_seconds
            self._send(None)
            return
        self.leave()
        if isinstance(error, EngineError):
            self._asker.attempt_failed(error)
        elif isinstance(error, Exception):
            self._asker.broke_down(error)

    def _break_down(self, error: Exception) -> None:
        self.leave()
        self._asker.broke_down(error)
