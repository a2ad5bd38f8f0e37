"""Ollama: OpenAI's dialect in part; what it does not know it leaves out in silence."""

import re
from typing import Any, ClassVar

import msgspec
from msgspec import structs

from inference.chat import Chat, Message
from inference.engines.base import Description
from inference.engines.checks import refuse_given
from inference.engines.openai import OpenAIEngine
from inference.errors import UnsupportedParameter

_IGNORED = ("logit_bias", "logprobs", "top_k", "min_p", "repetition_penalty", "chat_template_kwargs", "cache_salt")
_CONTEXT = re.compile(r"^num_ctx\s+(\d+)", re.MULTILINE)


class OllamaEngine(OpenAIEngine):
    """An Ollama server."""

    health_path: ClassVar = "/api/version"
    server: ClassVar = ""

    def check(self, chat: Chat) -> None:
        """Refuse what Ollama cannot do. Raises UnsupportedParameter."""
        super().check(chat)
        refuse_given(chat, _IGNORED)
        if chat.tools and chat.tool_choice not in (None, "auto", "none"):
            raise UnsupportedParameter("This model's server chooses tools by itself.", param="tool_choice")

    async def describe(self) -> Description:
        """Ask what the model can do, and for its context if that was set: what is longer, Ollama cuts in silence.

        The context that it gives a model otherwise depends on its version and memory, and is not told before.
        """
        body = msgspec.json.encode({"model": self._address.upstream_model})
        shown = await self.ask("POST", "/api/show", body, type=_Shown)
        context = _CONTEXT.search(shown.parameters)
        return Description(
            model=self._address.upstream_model,
            context_tokens=int(context[1][:9]) if context else None,
            modalities=("text", "image") if "vision" in shown.capabilities else ("text",),
            features=tuple(each for each in ("tools",) if each in shown.capabilities),
        )

    def translate(self, chat: Chat, max_tokens: int | None) -> Chat:
        """Return the chat as Ollama wants it; what it cannot do was refused by ``check``."""
        chat = super().translate(chat, max_tokens)
        without: dict[str, Any] = dict.fromkeys((*_IGNORED, "top_logprobs", "tool_choice", "parallel_tool_calls"))
        if chat.tool_choice == "none":
            without["tools"] = None
        return structs.replace(chat, **without)

    def message(self, message: Message) -> Message:
        """Name the developer's role as chat templates do."""
        message = super().message(message)
        return structs.replace(message, role="system") if message.role == "developer" else message


class _Shown(msgspec.Struct):
    parameters: str = ""
    capabilities: list[str] = []
