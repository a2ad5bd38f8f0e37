"""``POST /v1/messages``, Anthropic's way to ask for an answer, and ``/v1/messages/count_tokens``."""

import msgspec
from msgspec import structs

from accounts.caller import Caller
from api.exchange import ApiHandler
from api.messages.errors import error_fields, status_of
from api.messages.names import model_named
from api.messages.request import Asked, parse
from api.messages.writer import MessageWriter
from core.ids import request_id
from inference.catalog.snapshots import Catalog
from inference.runs.prompt_count import count_prompt
from web.errors import Problem


class AnthropicHandler(ApiHandler):
    """Errors in Anthropic's shape."""

    def write_problem(self, problem: Problem) -> tuple[int, bytes]:
        """Return the status and the body that tell a problem."""
        return status_of(problem), msgspec.json.encode(error_fields(problem, request_id(self.exchange.request_id)))


class Messages(AnthropicHandler):
    """Answers a message, streamed or whole; both are the same run."""

    async def answer_caller(self, caller: Caller, body: bytes) -> None:
        """Parse, start, and send what comes."""
        asked = await _with_model(self.exchange.runtime.catalog, parse(body))
        run = await self.run(caller, asked.chat, self.claim(caller, asked.chat))
        self.send(run, asked, MessageWriter(run.id, asked))


class TokenCount(AnthropicHandler):
    """Counts the tokens of a prompt."""

    async def answer_caller(self, caller: Caller, body: bytes) -> None:
        """Ask an engine, as far as one can tell."""
        asked = await _with_model(self.exchange.runtime.catalog, parse(body, is_count=True))
        self.tell(200, {"input_tokens": await count_prompt(self.exchange.runtime, caller, asked.chat)})


async def _with_model(catalog: Catalog, asked: Asked) -> Asked:
    """Return the request for the model that its name stands for."""
    chat = structs.replace(asked.chat, model=await model_named(catalog, asked.chat.model))
    return structs.replace(asked, chat=chat)
