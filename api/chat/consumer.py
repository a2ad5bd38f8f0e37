"""Token streams: ``POST /v1/chat/completions``."""

import msgspec
from django.conf import settings

from accounts.caller import Caller
from accounts.errors import IdentityError
from accounts.keys import aauthenticate
from api.chat import writer as writing
from core.errors import Repeated
from credits.errors import LedgerError
from inference.chat import Chat
from inference.errors import InferenceError, InvalidRequest
from inference.runs.buffer import Reader
from inference.runs.idempotency import Replay, once
from inference.runs.idempotency_keys import Claim
from inference.runs.spine import Completion, start
from web.bearer import bearer_secret
from web.chat import read
from web.encoding import decoded
from web.errors import MethodNotAllowed, describe
from web.exchange import HttpExchange
from web.ignored import ignored_head

FIT_TO_BALANCE = "Parley-Fit-To-Balance"
_STREAM_HEAD = {"cache-control": "no-cache", "x-accel-buffering": "no"}


class ChatCompletions(HttpExchange):
    """Answers a chat, streamed or whole; both are the same run."""

    async def answer(self, body: bytes) -> None:
        """Authenticate, parse, start, and send what comes."""
        if self.scope["method"] != "POST":
            raise MethodNotAllowed
        secret = bearer_secret(self.headers.get(b"authorization", ""))
        caller = self.line.caller = await aauthenticate(secret, self.headers.get(b"openai-project"))
        encoding = self.headers.get(b"content-encoding", "")
        parsed = read(decoded(body, encoding, settings.MAX_BODY_BYTES) if encoding else body)
        chat = parsed.chat
        fits, key = fits_to_balance(self.headers), self.headers.get(b"idempotency-key")
        if key is None:
            run: Completion | Replay = start(caller, chat, run_id=self.request_id, fit_to_balance=fits)
        else:
            run = await self._once(caller, key, chat, fits=fits)
        self.line.answered_by(run)
        self._ignored = ignored_head(parsed.ignored)
        async with run.subscribe() as reader:
            await run.begun()
            writer = writing.ChatWire(run.id, run.receipt.created, chat.model)
            if chat.stream:
                await self._stream(run, reader, writer, wants_usage=chat.wants_usage)
            else:
                await self._whole(run, reader, writer)

    async def _once(self, caller: Caller, key: str, chat: Chat, *, fits: bool) -> Completion | Replay:
        """Find what the Idempotency-Key stands for, or start it."""
        if sum(name == b"idempotency-key" for name, _ in self.scope["headers"]) > 1:
            raise InvalidRequest("One Idempotency-Key is enough.", param="Idempotency-Key")
        asked = self.scope["path"] + (f" {FIT_TO_BALANCE}" if fits else "")
        # Not to be streamed is the same, said or unsaid.
        meant = msgspec.structs.replace(chat, stream=chat.stream or None)
        claim = Claim.of(caller, key, asked, meant, self.request_id)
        return await once(claim, lambda claim: start(caller, chat, run_id=claim.run, claim=claim, fit_to_balance=fits))

    def _head(self, run: Completion | Replay) -> dict[str, str]:
        """Say so when the answer is that of an earlier request (its run is named in the body), or was made to fit."""
        head = self._ignored | ({} if run.id == self.request_id else {"idempotent-replayed": "true"})
        return head if run.receipt.clamped_to is None else head | {"parley-max-tokens": str(run.receipt.clamped_to)}

    async def _stream(
        self, run: Completion | Replay, reader: Reader, writer: writing.ChatWire, *, wants_usage: bool
    ) -> None:
        """Send each batch in one write; usage and ``[DONE]`` follow once the charge is settled."""
        await self.begin(200, "text/event-stream; charset=utf-8", _STREAM_HEAD | self._head(run))
        opening = writer.role()
        try:
            async for batch in reader:
                await self.write(opening + writer.events(batch.chunks))
                opening = b""
        except (InferenceError, IdentityError, LedgerError, Repeated) as error:
            # The status is long gone: the stream tells what happened, and ends. What credits paid for, it has used.
            described = describe(error)
            is_paid = wants_usage and described.status == 402
            usage = writer.usage((await run.ended()).usage) if is_paid else b""
            await self.write(usage + writing.error_event(described) + writing.DONE, more=False)
            return
        receipt = await run.ended()
        usage = writer.usage(receipt.usage) if wants_usage else b""
        await self.write(usage + writing.DONE, more=False)

    async def _whole(self, run: Completion | Replay, reader: Reader, writer: writing.ChatWire) -> None:
        """Collect the stream; the charge is settled just before the answer goes out whole."""
        chunks = await reader.whole()
        run.answer.deliver(len(chunks))
        receipt = await run.ended()
        head = self._head(run) | ({"parley-stopped-by": "insufficient_quota"} if receipt.ran_out else {})
        await self.respond(200, writer.whole(chunks, receipt.usage), head)


def fits_to_balance(headers: dict[bytes, str]) -> bool:
    """Whether the answer may be made as short as the balance wants it. Raises InvalidRequest."""
    value = headers.get(FIT_TO_BALANCE.lower().encode(), "false").lower()
    if value not in ("true", "false"):
        raise InvalidRequest(f"{FIT_TO_BALANCE} is true or false.", param=FIT_TO_BALANCE)
    return value == "true"
