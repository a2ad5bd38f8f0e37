"""``POST /v1/messages``, Anthropic's way to ask for an answer, and ``/v1/messages/count_tokens``."""

import msgspec
from msgspec import structs

from accounts.caller import Caller
from api.exchange import ApiExchange
from api.messages.errors import error_fields, status_of
from api.messages.names import model_named
from api.messages.request import Asked, parse
from api.messages.writer import MessageWriter
from core.ids import request_id
from inference.runs.prompt_count import count_prompt
from web.errors import describe


class AnthropicExchange(ApiExchange):
    """Errors in Anthropic's shape."""

    async def fail(self, error: Exception) -> None:
        """Answer with an error."""
        problem = describe(error)
        self.line.error = problem.code
        body = error_fields(problem, request_id(self.request_id))
        await self.respond(status_of(problem), msgspec.json.encode(body), problem.headers)


class Messages(AnthropicExchange):
    """Answers a message, streamed or whole; both are the same run."""

    async def answer_caller(self, caller: Caller, body: bytes) -> None:
        """Parse, start, and send what comes."""
        asked = await _with_model(parse(body))
        run = await self.run(caller, asked.chat, self.claim(caller, asked.chat))
        self.line.answered_by(run)
        async with run.subscribe() as reader:
            await run.begun()
            await self.send(run, asked, MessageWriter(run.id, asked), reader)


class TokenCount(AnthropicExchange):
    """Counts the tokens of a prompt."""

    async def answer_caller(self, caller: Caller, body: bytes) -> None:
        """Ask an engine, as far as one can tell."""
        asked = await _with_model(parse(body, is_count=True))
        await self.tell(200, {"input_tokens": await count_prompt(caller, asked.chat)})


async def _with_model(asked: Asked) -> Asked:
    """Return the request for the model that its name stands for."""
    chat = structs.replace(asked.chat, model=await model_named(asked.chat.model))
    return structs.replace(asked, chat=chat)
