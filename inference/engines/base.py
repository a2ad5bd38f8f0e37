"""What the spine asks of a model's server, whatever dialect it speaks."""

from collections.abc import AsyncGenerator
from typing import Protocol

from inference.chat import Chat
from inference.chunks import Chunk


class Engine(Protocol):
    """One server that runs a model. Every method raises a subclass of ``EngineError`` and nothing else."""

    def check(self, chat: Chat) -> None:
        """Refuse what this engine cannot do. Raises UnsupportedParameter, before any credit is held."""

    def stream(self, chat: Chat, max_tokens: int | None) -> AsyncGenerator[list[Chunk], None]:
        """Generate an answer of at most ``max_tokens``, yielding whatever each read from the socket brought.

        The last chunk has a finish_reason or follows one. Closing the generator closes the connection, which is how an
        engine is told to stop. A stream that ends without its proper ending raises EngineFailed.
        """

    async def count_prompt(self, chat: Chat) -> int | None:
        """Count the tokens of the templated prompt exactly; None where the engine has no way to tell."""

    async def count_text(self, text: str) -> int | None:
        """Count the tokens of plain text with the model's tokenizer; None where the engine has no way to tell."""

    async def is_healthy(self) -> bool:
        """Whether the server would answer now; never raises."""
