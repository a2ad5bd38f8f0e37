"""llama.cpp's server: OpenAI's dialect with running counts and a tokenizer."""

import re
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import structs

from inference.chat import Chat, Embedding, Message, Reading
from inference.chunks import Chunk, Usage
from inference.engines.base import Description
from inference.engines.checks import refuse_given
from inference.engines.decoder import AnswerReader
from inference.engines.errors import decoded, said_in
from inference.engines.events import NULL, Event
from inference.engines.load import LLAMACPP
from inference.engines.openai import OpenAIEngine
from inference.engines.structured import Schema, schemas_of, with_schemas
from inference.errors import EngineError, EngineRefused, UnsupportedParameter
from inference.patterns import PatternRefused, anchored, is_regular
from inference.schemas import mapped

# It skips what it does not know; an option without its effect is refused here instead.
_IGNORED = ("cache_salt",)
_OF_A_SCHEMA = re.compile(r"generate parser|grammar|schema", re.IGNORECASE)
# What it says of an answer that ends before its grammar does.
_NOT_WHOLE = re.compile(r"does not match the expected .* format")
# The seed, of 32 bits, that means none.
_RANDOM_SEED = 2**32 - 1


class LlamaCppReader(AnswerReader):
    """Reads an answer whose every chunk tells the counts so far."""

    def chunk(self, event: Event) -> Chunk | None:
        """Turn one event into a chunk; a structured answer that was cut comes with an error instead of an end."""
        if event.error is not NULL and self._is_cut(event):
            return self._finished(Chunk(), "length")
        return super().chunk(event)

    def _is_cut(self, event: Event) -> bool:
        is_full = self._limit is not None and self._generated >= self._limit
        return is_full and bool(_NOT_WHOLE.search(said_in(decoded(bytes(event.error)))[0]))

    def usage(self, event: Event) -> Usage | None:
        """Return the final counts, or else the running ones."""
        return super().usage(event) or (event.timings.counts() if event.timings else None)


class LlamaCppEngine(OpenAIEngine):
    """A llama.cpp server."""

    health_path: ClassVar = "/health"
    server: ClassVar = ""
    series: ClassVar = LLAMACPP

    def check(self, chat: Chat) -> None:
        """Refuse what llama.cpp cannot do. Raises UnsupportedParameter."""
        super().check(chat)
        refuse_given(chat, _IGNORED)
        if isinstance(chat, Reading) and isinstance(chat.task, Embedding) and chat.task.dimensions:
            raise UnsupportedParameter("This model does not support dimensions.", param="dimensions")
        for schema, path in schemas_of(chat):
            try:
                _with_whole_patterns(schema)
            except PatternRefused as refused:
                raise UnsupportedParameter(f"This model's server does not follow {refused}.", param=path) from None

    async def meet(self, chat: Chat) -> None:
        """Refuse tools where the chat template has no place for them: llama.cpp leaves them out in silence.

        It is asked each time: another server with another template may have come in its place.
        """
        if not chat.tools or chat.tool_choice == "none":
            return
        try:
            props = await self.ask("GET", "/props", type=_Props)
        except EngineError:
            # One that does not answer this will not answer the chat either, or has nothing to say about it.
            return
        if props.chat_template_caps.supports_tools is False:
            raise UnsupportedParameter("This model's chat template has no place for tools.", param="tools")

    async def count_prompt(self, chat: Chat) -> int | None:
        """Count the tokens of the templated prompt."""
        counted = await self.ask(
            "POST", "/v1/chat/completions/input_tokens", self.encode(chat, None), type=_InputTokens
        )
        return counted.input_tokens

    async def count_text(self, text: str) -> int | None:
        """Count the tokens of plain text; the server adds no special ones here."""
        body = msgspec.json.encode({"content": text})
        return len((await self.ask("POST", "/tokenize", body, type=_Tokens)).tokens)

    async def describe(self) -> Description:
        """Ask for the context of one slot and the number of slots."""
        props = await self.ask("GET", "/props", type=_Props)
        return Description(
            model=props.model_alias,
            context_tokens=props.default_generation_settings.n_ctx,
            concurrency=props.total_slots,
            modalities=props.modalities.names if props.modalities else None,
            features=("tools",) if props.chat_template_caps.supports_tools else (),
        )

    def error_for(self, status: int, body: bytes) -> EngineError:
        """Return the error for a response that is not a success; of a schema it does not say where it came from."""
        error = super().error_for(status, body)
        if isinstance(error, EngineRefused) and error.param is None and _OF_A_SCHEMA.search(error.message):
            error.param = "response_format"
        return error

    def encode(self, chat: Chat, max_tokens: int | None) -> bytes:
        """Write the request's body with what is this server's own: a name for a penalty, and counts in every chunk."""
        own: dict[str, Any] = {"timings_per_token": True}
        if chat.repetition_penalty is not None:
            own["repeat_penalty"] = chat.repetition_penalty
        return super().encode(chat, max_tokens)[:-1] + b"," + msgspec.json.encode(own)[1:]

    def translate(self, chat: Chat, max_tokens: int | None) -> Chat:
        """Return the chat as llama.cpp wants it; what it cannot do was refused by ``check``."""
        chat = super().translate(chat, max_tokens)
        kwargs = chat.chat_template_kwargs
        if chat.reasoning_effort is not None:
            # Where templates look for it.
            kwargs = {"reasoning_effort": chat.reasoning_effort} | (kwargs or {})
        chat = structs.replace(
            chat,
            seed=chat.seed % _RANDOM_SEED if chat.seed is not None else None,
            repetition_penalty=None,
            reasoning_effort=None,
            chat_template_kwargs=kwargs,
            cache_salt=None,
        )
        return with_schemas(chat, _with_whole_patterns)

    def message(self, message: Message) -> Message:
        """Name the developer's role as chat templates do."""
        message = super().message(message)
        return structs.replace(message, role="system") if message.role == "developer" else message

    def answer_reader(self, chat: Chat, max_tokens: int | None) -> AnswerReader:
        """Return what reads the answer to a chat."""
        return LlamaCppReader(self._address, chat, max_tokens)


def _with_whole_patterns(schema: Schema) -> Schema:
    """Return a schema whose patterns are of whole texts: llama.cpp skips others in silence. Raises PatternRefused."""

    def whole(part: Schema) -> Schema:
        pattern = part.get("pattern")
        if not isinstance(pattern, str):
            return part
        written = anchored(pattern) if is_regular(pattern) else None
        if written is None:
            raise PatternRefused(f"the pattern {pattern!r}: it has to describe the whole text, from ^ to $")
        return part | {"pattern": written}

    found: Schema = mapped(schema, whole)
    return found


class _InputTokens(msgspec.Struct):
    input_tokens: Annotated[int, msgspec.Meta(ge=1)]


class _Tokens(msgspec.Struct):
    tokens: list[int]


class _GenerationSettings(msgspec.Struct):
    n_ctx: int | None = None


class _Modalities(msgspec.Struct):
    vision: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return ("text", "image") if self.vision else ("text",)


class _TemplateAbilities(msgspec.Struct, frozen=True):
    supports_tools: bool | None = None


class _Props(msgspec.Struct):
    default_generation_settings: _GenerationSettings
    total_slots: int | None = None
    model_alias: str | None = None
    # Older ones tell neither.
    modalities: _Modalities | None = None
    chat_template_caps: _TemplateAbilities = _TemplateAbilities()
