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
# For what may follow a finish reason: the counts, and the end of the stream.
TAIL_SECONDS = 5.0


async def stream(
    engine: Engine, http: HttpClient, chat: Chat, max_tokens: int | None
) -> AsyncGenerator[list[Chunk], None]:
    """Generate an answer of at most ``max_tokens``, yielding whatever each read from the socket brought.

    Closing the generator closes the connection, which is how an engine is told to stop. Raises EngineError.
    """
    began = time.monotonic()
    await engine.meet(chat)
    decoder = engine.decoder(chat, max_tokens)
    first_seconds, between_seconds = settings.FIRST_TOKEN_SECONDS, settings.BETWEEN_TOKENS_SECONDS

    def patience() -> float:
        if decoder.is_finished:
            return min(between_seconds, TAIL_SECONDS)
        if decoder.has_output:
            return between_seconds
        return first_seconds if decoder.signs else max(0, began + first_seconds - time.monotonic())

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
    signs = decoder.signs
    with Watchdog(response.expire) as watchdog:
        watchdog.wait(patience())
        while not decoder.is_ended:
            try:
                received = await response.receive()
            except EngineError as error:
                chunks = decoder.fail(error)
            else:
                chunks = decoder.feed(received) if received else decoder.end()
            # What shows that the engine is at work is progress, though nothing comes of it yet.
            if chunks or decoder.signs != signs:
                signs = decoder.signs
                watchdog.rest()
                if chunks:
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
