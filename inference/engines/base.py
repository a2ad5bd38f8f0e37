"""What the spine asks of a model's server, whatever dialect it speaks."""

from typing import Protocol

import msgspec

from inference.chat import Chat
from inference.chunks import Chunk
from inference.engines.load import Load
from inference.errors import EngineError
from inference.transport.client import Request


class Address(Protocol):
    """Where an engine is and how it wants to be spoken to; the catalogue's snapshot of an endpoint is one."""

    @property
    def kind(self) -> str:
        """The dialect: an ``Endpoint.Kind``."""

    @property
    def base_url(self) -> str:
        """The server's root, without ``/v1``."""

    @property
    def credential(self) -> str:
        """What is sent as a Bearer token; empty: nothing."""

    @property
    def upstream_model(self) -> str:
        """The name that the server knows the model by; empty: the only one it has."""


class EndpointAddress(msgspec.Struct, frozen=True):
    """An address that is not, or not yet, in the catalogue."""

    kind: str
    base_url: str
    credential: str = ""
    upstream_model: str = ""

    def __repr__(self) -> str:
        return f"{self.kind} at {self.base_url}"


class Description(msgspec.Struct, frozen=True):
    """What a server tells about itself; None for what it does not tell."""

    model: str | None = None
    context_tokens: int | None = None
    concurrency: int | None = None
    pipeline_tag: str | None = None
    modalities: tuple[str, ...] | None = None
    features: tuple[str, ...] = ()
    # LoRA adapters that it serves beside the model, by their names there.
    adapters: tuple[str, ...] = ()
    # The kind of server that it says it is, where its dialect is spoken by several.
    server: str = ""


class Engine(Protocol):
    """One server that runs a model. Every method raises a subclass of ``EngineError`` and nothing else."""

    def check(self, chat: Chat) -> None:
        """Refuse what this engine cannot do. Raises UnsupportedParameter, before any credit is held."""

    async def meet(self, chat: Chat) -> None:
        """Ask the server what this chat's answer depends on; one that does not answer is ignored.

        Raises UnsupportedParameter, also before any credit is held.
        """

    def salted(self, chat: Chat, salt: str) -> Chat:
        """Return the chat with the salt, so that no other tenant can tell by an answer's time which prompts are cached.

        Where a server has no such thing, the chat is returned as it is.
        """

    def request(self, chat: Chat, max_tokens: int | None) -> Request:
        """Return what to send for an answer of at most ``max_tokens``: always a stream."""

    def decoder(self, chat: Chat, max_tokens: int | None = None) -> "Decoder":
        """Return what turns the body of the response into chunks; ``max_tokens`` as in the request."""

    def refusal(self, status: int, body: bytes) -> EngineError:
        """Return what a response means whose status is not 200."""

    async def count_prompt(self, chat: Chat) -> int | None:
        """Count the tokens of the templated prompt exactly; None where the engine has no way to tell."""

    async def count_text(self, text: str) -> int | None:
        """Count the tokens of plain text with the model's tokenizer; None where the engine has no way to tell."""

    async def describe(self) -> Description:
        """Ask the server what it runs and how much of it."""

    async def is_healthy(self) -> bool:
        """Whether the server would answer now; never raises."""

    async def load(self) -> Load | None:
        """Return how busy the server says that it is; None where it does not tell. Never raises."""


class Decoder(Protocol):
    """Turns the bytes of one answer into chunks as they come. The last has a finish_reason or follows one."""

    # Whether the answer is over; properly, unless there is a failure.
    is_ended: bool
    failure: EngineError | None
    # The answer is whole though the engine goes on: it has to be told to stop.
    is_cut_short: bool
    # Whether anything came that the model generated.
    has_output: bool
    # How often the engine showed that it is at work, whether anything came of that or not.
    signs: int

    @property
    def is_finished(self) -> bool:
        """Whether the answer is complete: no failure can follow, but the counts may."""

    def feed(self, received: bytes) -> list[Chunk]:
        """Return the chunks that these bytes complete, up to the answer's end or a failure."""

    def end(self) -> list[Chunk]:
        """Return what is left once nothing more comes; an answer without its proper ending has failed."""

    def fail(self, error: EngineError) -> list[Chunk]:
        """Return what is left once the connection broke, which is no failure of an answer that is finished."""
