"""One answer of an engine as it comes, from the request to the end of the stream."""

import time
from collections.abc import AsyncGenerator, Callable

from django.conf import settings

from inference.chat import Chat
from inference.chunks import Chunk
from inference.engines.base import Decoder, Engine
from inference.engines.errors import MAX_ERROR_BYTES
from inference.errors import EngineError, EngineFailed, EngineTimeout
from inference.transport.client import HttpClient, Response
from inference.transport.watchdog import Watchdog

# For the body of a response that is not a success.
REFUSAL_SECONDS = 10.0


async def stream(
    engine: Engine, http: HttpClient, chat: Chat, max_tokens: int | None
) -> AsyncGenerator[list[Chunk], None]:
    """Generate an answer of at most ``max_tokens``, yielding whatever each read from the socket brought.

    Closing the generator closes the connection, which is how an engine is told to stop. Raises EngineError.
    """
    began = time.monotonic()
    await engine.meet(chat)
    decoder = engine.decoder(chat)
    first_seconds, between_seconds = settings.FIRST_TOKEN_SECONDS, settings.BETWEEN_TOKENS_SECONDS

    def patience() -> float:
        return between_seconds if decoder.has_output else max(0, began + first_seconds - time.monotonic())

    async with http.send(engine.request(chat, max_tokens), seconds=first_seconds) as response:
        if response.status != 200:
            raise await _refusal(engine, response)
        async for chunks in _decoded(response, decoder, patience):
            yield chunks
        if decoder.failure:
            raise decoder.failure
        if not decoder.is_cut_short:
            await response.drain()


async def _decoded(
    response: Response, decoder: Decoder, patience: Callable[[], float]
) -> AsyncGenerator[list[Chunk], None]:
    """Yield the chunks of a response until its answer is over; who takes them is not hurried."""
    with Watchdog(response.expire) as watchdog:
        watchdog.wait(patience())
        while not decoder.is_ended:
            received = await response.receive()
            chunks = decoder.feed(received) if received else decoder.end()
            # A keep-alive, or an event that brings nothing, does not count as progress.
            if chunks:
                watchdog.rest()
                yield chunks
                watchdog.wait(patience())


async def _refusal(engine: Engine, response: Response) -> EngineError:
    """Return the error for a response that is not a success, waiting briefly for its body."""
    with Watchdog(response.expire) as watchdog:
        watchdog.wait(REFUSAL_SECONDS)
        try:
            body = await response.read(MAX_ERROR_BYTES)
        except (EngineFailed, EngineTimeout):
            body = b""
    return engine.refusal(response.status, body)
