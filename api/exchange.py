"""A request for text in any protocol: who calls, what is asked for, the one run that answers, and its bytes."""

from typing import Any, Final, Protocol

import msgspec
from django.conf import settings

from accounts.caller import Caller
from accounts.errors import IdentityError
from accounts.keys import aauthenticate
from core.errors import Repeated
from credits.errors import LedgerError
from inference.chat import Chat
from inference.chunks import Chunk, Usage
from inference.errors import InferenceError, InvalidRequest
from inference.runs.buffer import Reader
from inference.runs.idempotency import Replay, once
from inference.runs.idempotency_keys import Claim
from inference.runs.spine import Completion, start
from web.bearer import bearer_secret
from web.encoding import decoded
from web.errors import MethodNotAllowed, Problem, describe
from web.exchange import HttpExchange
from web.ignored import ignored_head

FIT_TO_BALANCE: Final = "Parley-Fit-To-Balance"
STREAM_HEAD: Final = {"cache-control": "no-cache", "x-accel-buffering": "no"}
STREAM_TYPE: Final = "text/event-stream; charset=utf-8"
AnyRun = Completion | Replay


class Writer(Protocol):
    """Turns the chunks of one run into a protocol's bytes."""

    def opening(self) -> bytes:
        """Write what comes before the first chunk."""

    def events(self, chunks: list[Chunk]) -> bytes:
        """Write chunks as they came, in one piece."""

    def ending(self, usage: Usage) -> bytes:
        """Write what closes the answer."""

    def failure(self, problem: Problem, usage: Usage | None) -> bytes:
        """Write what closes an answer that broke off; ``usage`` is told where credits ended."""

    def whole(self, chunks: list[Chunk], usage: Usage) -> bytes:
        """Write the whole answer."""


class Asked(Protocol):
    """A request as a protocol's parser understood it."""

    @property
    def chat(self) -> Chat:
        """What the run is asked for."""

    @property
    def ignored(self) -> tuple[str, ...]:
        """What was left out, by its path in the body."""


class ApiExchange(HttpExchange):
    """Base of exchanges with callers who hold a key."""

    methods: tuple[str, ...] = ("POST",)

    async def answer(self, body: bytes) -> None:
        """Authenticate, and read the body as it was before it was compressed."""
        if self.scope["method"] not in self.methods:
            raise MethodNotAllowed
        secret = bearer_secret(self.headers.get(b"authorization", ""))
        caller = self.line.caller = await aauthenticate(secret, self.headers.get(b"openai-project"))
        encoding = self.headers.get(b"content-encoding", "")
        await self.answer_caller(caller, decoded(body, encoding, settings.MAX_BODY_BYTES) if encoding else body)

    async def answer_caller(self, caller: Caller, body: bytes) -> None:
        """Answer somebody who may call."""
        raise NotImplementedError

    def argument(self, name: str) -> str:
        """Return a part of the address."""
        return str(self.scope["url_route"]["kwargs"][name])

    def claim(self, caller: Caller, chat: Chat) -> Claim | None:
        """Return what the request's Idempotency-Key stands for, if it has one. Raises InvalidRequest."""
        key = self.headers.get(b"idempotency-key")
        if key is None:
            return None
        if sum(name == b"idempotency-key" for name, _ in self.scope["headers"]) > 1:
            raise InvalidRequest("One Idempotency-Key is enough.", param="Idempotency-Key")
        asked = self.scope["path"] + (f" {FIT_TO_BALANCE}" if fits_to_balance(self.headers) else "")
        # Not to be streamed is the same, said or unsaid.
        meant = msgspec.structs.replace(chat, stream=chat.stream or None)
        return Claim.of(caller, key, asked, meant, self.request_id)

    async def run(self, caller: Caller, chat: Chat, claim: Claim | None) -> AnyRun:
        """Start the run, or find the one that answers for a claim."""
        fits = fits_to_balance(self.headers)
        if claim is None:
            return start(caller, chat, run_id=self.request_id, fit_to_balance=fits)
        return await once(claim, lambda claim: start(caller, chat, run_id=claim.run, claim=claim, fit_to_balance=fits))

    async def send(self, run: AnyRun, asked: Asked, writer: Writer, reader: Reader) -> None:
        """Send what comes, streamed or whole."""
        if asked.chat.stream:
            await self.begin(200, STREAM_TYPE, STREAM_HEAD | self.head(run, asked))
            await self.follow(run, writer, reader)
        else:
            await self._whole(run, asked, writer, reader)

    def head(self, run: AnyRun, asked: Asked) -> dict[str, str]:
        """Say what was left out, that the answer is that of an earlier request, or that it was made to fit."""
        head = ignored_head(asked.ignored)
        if run.id != self.request_id:
            head["idempotent-replayed"] = "true"
        if run.receipt.clamped_to is not None:
            head["parley-max-tokens"] = str(run.receipt.clamped_to)
        return head

    async def follow(self, run: AnyRun, writer: Writer, reader: Reader) -> None:
        """Send each batch in one write; what closes the answer follows once the charge is settled."""
        opening = writer.opening()
        try:
            async for batch in reader:
                await self.write(opening + writer.events(batch.chunks))
                opening = b""
        except (InferenceError, IdentityError, LedgerError, Repeated) as error:
            # The status is long gone: the stream tells what happened, and ends. What credits paid for, it has used.
            problem = describe(error)
            usage = (await run.ended()).usage if problem.code == "insufficient_quota" else None
            await self.write(opening + writer.failure(problem, usage), more=False)
            return
        await self.write(opening + writer.ending((await run.ended()).usage), more=False)

    async def _whole(self, run: AnyRun, asked: Asked, writer: Writer, reader: Reader) -> None:
        """Collect the stream; the charge is settled just before the answer goes out whole."""
        chunks = await reader.whole()
        run.answer.deliver(len(chunks))
        receipt = await run.ended()
        head = self.head(run, asked) | ({"parley-stopped-by": "insufficient_quota"} if receipt.ran_out else {})
        await self.respond(200, writer.whole(chunks, receipt.usage), head)

    async def tell(self, status: int, value: Any) -> None:
        """Send a value as JSON."""
        await self.respond(status, msgspec.json.encode(value))


def fits_to_balance(headers: dict[bytes, str]) -> bool:
    """Whether the answer may be made as short as the balance wants it. Raises InvalidRequest."""
    value = headers.get(FIT_TO_BALANCE.lower().encode(), "false").lower()
    if value not in ("true", "false"):
        raise InvalidRequest(f"{FIT_TO_BALANCE} is true or false.", param=FIT_TO_BALANCE)
    return value == "true"
