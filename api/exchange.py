"""A request for text in any protocol: who calls, what is asked for, the one run that answers, and its bytes."""

from collections.abc import Sequence
from typing import Any, ClassVar, Final, Protocol

import msgspec
from django.conf import settings

from accounts.caller import Caller
from accounts.keys import aauthenticate
from inference.chat import Chat
from inference.chunks import Chunk, Usage
from inference.errors import InvalidRequest
from inference.runs.idempotency import once
from inference.runs.idempotency_keys import Claim
from inference.runs.run import Receipt, Run, Subscription
from inference.runs.spine import start
from web.bearer import bearer_secret
from web.encoding import decoded
from web.errors import MethodNotAllowed, Problem, describe, error_body
from web.exchange import Exchange
from web.ignored import ignored_head

FIT_TO_BALANCE: Final = "Parley-Fit-To-Balance"
STREAM_HEAD: Final = {"x-accel-buffering": "no"}
# Proxies close what is silent for a minute. From then on a silence is filled with comments, which no client shows.
SILENCE_SECONDS: Final = 15.0
COMMENT: Final = b":\n\n"
STREAM_TYPE: Final = "text/event-stream; charset=utf-8"


class WholeWriter(Protocol):
    """Turns all chunks of one run into a protocol's bytes."""

    def set_model(self, model_id: str) -> None:
        """Name the model that answers, where another name was asked for. Called before anything is written."""

    def whole(self, chunks: Sequence[Chunk], usage: Usage) -> bytes:
        """Write the whole answer."""


class Writer(WholeWriter, Protocol):
    """Turns the chunks of one run into a protocol's bytes: the same ones, however often."""

    def opening(self) -> bytes:
        """Write what comes before the first chunk."""

    def events(self, chunks: Sequence[Chunk]) -> bytes:
        """Write chunks as they came, in one piece; empty if they are not shown."""

    def ending(self, usage: Usage) -> bytes:
        """Write what closes the answer."""

    def failure(self, problem: Problem, usage: Usage | None) -> bytes:
        """Write what closes an answer that broke off; ``usage`` is told where credits ended."""


class Asked(Protocol):
    """A request as a protocol's parser understood it."""

    @property
    def chat(self) -> Chat:
        """What the run is asked for."""

    @property
    def ignored(self) -> tuple[str, ...]:
        """What was left out, by its path in the body."""


class ApiHandler:
    """Base of what answers callers who hold a key: one for each request."""

    methods: ClassVar[tuple[str, ...]] = ("POST",)

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        exchange.write_problem = self.write_problem

    @classmethod
    def answer(cls, exchange: Exchange, body: bytes) -> None:
        """Answer one request."""
        handler = cls(exchange)
        exchange.run_eagerly(handler.begin(body))

    async def begin(self, body: bytes) -> None:
        """Authenticate, and read the body as it was before it was compressed."""
        exchange, headers = self.exchange, self.exchange.headers
        if exchange.method not in self.methods:
            raise MethodNotAllowed
        secret = bearer_secret(headers.get(b"authorization", ""))
        caller = exchange.line.caller = await aauthenticate(secret, headers.get(b"openai-project"))
        encoding = headers.get(b"content-encoding", "")
        await self.answer_caller(caller, decoded(body, encoding, settings.MAX_BODY_BYTES) if encoding else body)

    async def answer_caller(self, caller: Caller, body: bytes) -> None:
        """Answer somebody who may call. Waits for what is not remembered, and for an Idempotency-Key."""
        raise NotImplementedError

    def write_problem(self, problem: Problem) -> tuple[int, bytes]:
        """Return the status and the body that tell a problem in this protocol."""
        return problem.status, error_body(problem)

    def claim(self, caller: Caller, chat: Chat) -> Claim | None:
        """Return what the request's Idempotency-Key stands for, if it has one. Raises InvalidRequest."""
        exchange = self.exchange
        key = exchange.headers.get(b"idempotency-key")
        if key is None:
            return None
        if exchange.count(b"idempotency-key") > 1:
            raise InvalidRequest("One Idempotency-Key is enough.", param="Idempotency-Key")
        asked = exchange.path + (f" {FIT_TO_BALANCE}" if fits_to_balance(exchange.headers) else "")
        # Not to be streamed is the same, said or unsaid.
        meant = msgspec.structs.replace(chat, stream=chat.stream or None)
        return Claim.of(caller, key, asked, meant, exchange.request_id)

    async def run(self, caller: Caller, chat: Chat, claim: Claim | None) -> Run:
        """Start the run, or find the one that answers for a claim; it is named in the request's log line."""
        exchange = self.exchange
        fits, runtime = fits_to_balance(exchange.headers), exchange.runtime
        if claim is None:
            run: Run = start(runtime, caller, chat, run_id=exchange.request_id, fit_to_balance=fits)
        else:
            run = await once(
                runtime,
                claim,
                lambda claim: start(runtime, caller, chat, run_id=claim.run, claim=claim, fit_to_balance=fits),
            )
        exchange.line.answered_by(run)
        return run

    def send(self, run: Run, asked: Asked, writer: Writer) -> None:
        """Send what comes of the run, streamed or whole."""
        self._send(run, asked, writer, writer if asked.chat.stream else None)

    def send_whole(self, run: Run, asked: Asked, writer: WholeWriter) -> None:
        """Send what comes of a run that is never streamed."""
        self._send(run, asked, writer, None)

    def _send(self, run: Run, asked: Asked, writer: WholeWriter, stream: Writer | None) -> None:
        head = ignored_head(asked.ignored) if asked.ignored else {}
        if run.id != self.exchange.request_id:
            # It is that of an earlier request, and named in the body.
            head["idempotent-replayed"] = "true"
        Sending(self, run, writer, stream, head=head, model=asked.chat.model).begin()

    def refuse(self, error: Exception) -> None:
        """Tell why a run has nothing to be read."""
        self.exchange.fail(error)

    def tell(self, status: int, value: Any) -> None:
        """Send a value as JSON."""
        self.exchange.respond(status, msgspec.json.encode(value))


class Sending:
    """Subscribes to a run and writes it as the response, as quickly as the client takes it."""

    __slots__ = (
        "_chunks",
        "_exchange",
        "_handler",
        "_head",
        "_model",
        "_problem",
        "_quiet_since",
        "_run",
        "_stream",
        "_subscription",
        "_writer",
    )

    def __init__(
        self,
        handler: ApiHandler,
        run: Run,
        writer: WholeWriter,
        stream: Writer | None,
        *,
        head: dict[str, str],
        model: str,
    ) -> None:
        self._handler = handler
        self._exchange = handler.exchange
        self._run = run
        self._writer = writer
        self._head = head
        # As it was asked for.
        self._model = model
        # The same, of an answer that is streamed.
        self._stream = stream
        # Of a whole answer, once it is there.
        self._chunks: Sequence[Chunk] = ()
        # What ended a stream that is told the usage of what was paid for.
        self._problem: Problem | None = None
        self._subscription: Subscription | None = None
        self._quiet_since = 0.0

    def begin(self) -> None:
        """Begin to send."""
        self._exchange.responder = self
        if self._stream:
            runtime = self._exchange.runtime
            self._quiet_since = runtime.loop.time()
            runtime.deadlines.watch(self)
        self._subscription = self._run.subscribe(self, whole=self._stream is None)
        self._subscription.resume()

    def chunks_came(self, first: int, chunks: Sequence[Chunk]) -> None:
        """Write chunks as they come, each batch in one write; keep a whole answer until it is settled."""
        exchange = self._exchange
        if self._stream is None:
            self._chunks = chunks
            return
        opening = b"" if exchange.is_begun else self._open()
        data = opening + self._stream.events(chunks)
        if data and not exchange.is_over:
            self._quiet_since = exchange.runtime.loop.time()
            exchange.write(data)
            if exchange.is_full and self._subscription:
                self._subscription.pause()

    def check_deadline(self, now: float) -> None:
        """Fill a silence. Before the engine has sent anything there is none: the status is still to be found out."""
        exchange = self._exchange
        if now - self._quiet_since < SILENCE_SECONDS or exchange.is_over or exchange.is_full:
            return
        if exchange.is_begun or self._run.is_at_work:
            self._quiet_since = now
            exchange.write((b"" if exchange.is_begun else self._open()) + COMMENT)

    def run_ended(self, error: Exception | None) -> None:
        """Tell what went wrong, if anything did; the rest is told once the charge is settled."""
        exchange = self._exchange
        if error is None or exchange.is_over:
            return
        if not exchange.is_begun:
            self._leave()
            self._handler.refuse(error)
            return
        problem = describe(error)
        if problem.code == "insufficient_quota":
            # What credits paid for, it has used.
            self._problem = problem
        else:
            # The status is long gone: the stream tells what happened, and ends.
            assert self._stream, "a whole answer begins once it is there"
            self._leave()
            exchange.finish(self._stream.failure(problem, None))

    def run_settled(self, receipt: Receipt) -> None:
        """End the response: what was delivered is charged."""
        exchange, stream, problem = self._exchange, self._stream, self._problem
        if exchange.is_over:
            return
        self._leave()
        if stream is None:
            head = self._whole_head() | ({"parley-stopped-by": "insufficient_quota"} if receipt.ran_out else {})
            exchange.respond(200, self._writer.whole(self._chunks, receipt.usage), head)
            return
        opening = b"" if exchange.is_begun else self._open()
        exchange.finish(opening + (stream.failure(problem, receipt.usage) if problem else stream.ending(receipt.usage)))

    def client_left(self) -> None:
        """Let go of the run. A client that was cut has not read for too long."""
        self._leave(is_slow=self._exchange.is_full)

    def client_caught_up(self) -> None:
        """Write on."""
        if self._subscription:
            self._subscription.resume()

    def _leave(self, *, is_slow: bool = False) -> None:
        if self._subscription:
            self._exchange.runtime.deadlines.forget(self)
            subscription, self._subscription = self._subscription, None
            subscription.leave(is_slow=is_slow)

    def _open(self) -> bytes:
        self._exchange.begin(200, STREAM_TYPE, STREAM_HEAD | self._whole_head())
        assert self._stream
        return self._stream.opening()

    def _whole_head(self) -> dict[str, str]:
        """Say, too, that the answer was made to fit, and which model answers, if another name was asked for."""
        receipt = self._run.receipt
        clamped_to, model_id = receipt.clamped_to, receipt.model_id
        if clamped_to is None and model_id == self._model:
            return self._head
        head = self._head if clamped_to is None else self._head | {"parley-max-tokens": str(clamped_to)}
        if model_id in ("", self._model):
            return head
        self._writer.set_model(model_id)
        return head | {"parley-model": model_id}


def fits_to_balance(headers: dict[bytes, str]) -> bool:
    """Whether the answer may be made as short as the balance wants it. Raises InvalidRequest."""
    value = headers.get(b"parley-fit-to-balance", "false").lower()
    if value not in ("true", "false"):
        raise InvalidRequest(f"{FIT_TO_BALANCE} is true or false.", param=FIT_TO_BALANCE)
    return value == "true"
