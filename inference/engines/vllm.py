"""vLLM and SGLang: OpenAI's dialect, with counts of their own and more than it has words for."""

from typing import ClassVar

import msgspec
from msgspec import structs

from inference.chat import Message
from inference.engines.base import Description
from inference.engines.openai import OpenAIEngine
from inference.errors import EngineError


class VllmEngine(OpenAIEngine):
    """A vLLM server."""

    health_path: ClassVar = "/health"
    server: ClassVar = "vllm"

    def message(self, message: Message) -> Message:
        """Name the developer's role as chat templates do."""
        message = super().message(message)
        return structs.replace(message, role="system") if message.role == "developer" else message


class SglangEngine(VllmEngine):
    """An SGLang server."""

    server: ClassVar = "sglang"

    async def describe(self) -> Description:
        """Ask for the model's context, and how many requests it runs at once; older servers do not tell."""
        described = await super().describe()
        try:
            told = await self.ask("GET", "/get_server_info", type=_ServerInfo)
        except EngineError:
            return described
        return structs.replace(described, concurrency=told.max_running_requests)


class _ServerInfo(msgspec.Struct):
    max_running_requests: int | None = None
