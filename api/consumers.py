"""Token streams: ``POST /v1/chat/completions``."""

from accounts.errors import IdentityError
from accounts.keys import aauthenticate
from api import wire
from api.errors import MethodNotAllowed, describe
from api.exchange import HttpExchange
from inference.answer import Reader
from inference.chat import parse
from inference.completion import Completion, start
from inference.errors import InferenceError


class ChatCompletions(HttpExchange):
    """Answers a chat, streamed or whole; both are the same run."""

    async def answer(self, body: bytes) -> None:
        """Authenticate, parse, start, and send what comes."""
        if self.scope["method"] != "POST":
            raise MethodNotAllowed
        caller = await aauthenticate(bearer(self.headers), self.headers.get(b"openai-project"))
        completion = start(caller, parse(body), run_id=self.scope["request_id"])
        async with completion.subscribe() as reader:
            await completion.begun()
            if completion.chat.stream:
                await self._stream(completion, reader)
            else:
                await self._whole(completion, reader)

    async def _stream(self, completion: Completion, reader: Reader) -> None:
        """Send each batch in one write; usage and ``[DONE]`` follow once the charge is settled."""
        writer = wire.ChatWire(completion)
        await self.begin(
            200, "text/event-stream; charset=utf-8", {"cache-control": "no-cache", "x-accel-buffering": "no"}
        )
        opening = writer.role()
        try:
            async for batch in reader:
                await self.write(opening + writer.events(batch.chunks))
                opening = b""
        except (InferenceError, IdentityError) as error:
            # The status is long gone: the stream tells what happened, and ends.
            await self.write(wire.error_event(describe(error)) + wire.DONE, more=False)
            return
        receipt = await completion.ended()
        usage = writer.usage(receipt.usage) if completion.chat.wants_usage else b""
        await self.write(usage + wire.DONE, more=False)

    async def _whole(self, completion: Completion, reader: Reader) -> None:
        """Collect the stream; the charge is settled just before the answer goes out whole."""
        chunks = await reader.whole()
        completion.answer.deliver(len(chunks))
        receipt = await completion.ended()
        await self.respond(200, wire.ChatWire(completion).whole(chunks, receipt.usage))


def bearer(headers: dict[bytes, str]) -> str | None:
    """Return the secret of an ``Authorization: Bearer`` header, the only way in."""
    scheme, _, secret = headers.get(b"authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None
