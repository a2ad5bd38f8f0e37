"""``POST /v1/chat/completions``: OpenAI's chat, streamed or whole; both are the same run."""

from accounts.caller import Caller
from api.chat.writer import ChatWriter
from api.exchange import ApiHandler
from web.chat import read


class ChatCompletions(ApiHandler):
    """Answers a chat."""

    async def answer_caller(self, caller: Caller, body: bytes) -> None:
        """Parse, start, and send what comes."""
        parsed = read(body)
        run = await self.run(caller, parsed.chat, self.claim(caller, parsed.chat))
        self.send(run, parsed, ChatWriter(run.id, run.receipt.created, parsed.chat))
