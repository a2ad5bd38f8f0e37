"""HuggingFace TGI 3.3.7: an older reading of OpenAI's dialect, put right on the way in and on the way out."""

from typing import Any, ClassVar

import msgspec
from msgspec import UNSET, structs

from inference.chat import (
    Chat,
    Continuation,
    ImagePart,
    JsonSchemaFormat,
    Message,
    Reading,
    TextFormat,
    TextPart,
    Tool,
    ToolCall,
)
from inference.engines.base import Address, Description
from inference.engines.checks import refuse_given
from inference.engines.decoder import AnswerReader
from inference.engines.events import UNREADABLE
from inference.engines.load import TGI
from inference.engines.openai import OpenAIEngine
from inference.engines.structured import schemas_of, with_schemas
from inference.engines.tgi.decoder import TgiReader, stops_of, tgi_error_for
from inference.engines.tgi.schemas import SchemaRefused, accepted, token_limit
from inference.errors import EngineError, UnsupportedParameter
from inference.transport.client import HttpClient

MAX_STOPS = 4
# We look for them ourselves in what it generates, with every token, on behalf of everybody.
MAX_STOP_CHARACTERS = 1_000
MAX_TOP_LOGPROBS = 5

# TGI skips what it does not know; an option without its effect is refused here instead.
_IGNORED = ("logit_bias", "top_k", "min_p", "chat_template_kwargs", "reasoning_effort", "cache_salt")
# What it calls a presence penalty is a repetition penalty less two: another thing, which can be had under its own name.
_TWISTED = ("presence_penalty",)
_PENALTY_OFFSET = 2
# TGI counts with 32 bits: what is much closer to zero or one is zero or one to it, and refused or misunderstood.
_NEXT_TO_NOTHING = 1e-6
_ANY_PARAMETERS = {"type": "object", "properties": {}}


class TgiEngine(OpenAIEngine):
    """A TGI server."""

    health_path: ClassVar = "/health"
    server: ClassVar = ""
    series: ClassVar = TGI

    def __init__(self, address: Address, http: HttpClient) -> None:
        super().__init__(address, http)
        # Any other name is taken for a LoRA adapter.
        self._model = address.upstream_model or "tgi"
        self._special_tokens: int | None = None

    def check(self, chat: Chat) -> None:
        """Refuse what TGI cannot do. Raises UnsupportedParameter."""
        if isinstance(chat, Reading):
            raise UnsupportedParameter(f"TGI has no {chat.feature}.", param="model")
        if isinstance(chat, Continuation):
            raise UnsupportedParameter("This model does not continue plain prompts.", param="prompt")
        super().check(chat)
        refuse_given(chat, _IGNORED + _TWISTED)
        if isinstance(chat.stop, list) and len(chat.stop) > MAX_STOPS:
            raise UnsupportedParameter(f"At most {MAX_STOPS} stop sequences are supported.", param="stop")
        if any(len(stop) > MAX_STOP_CHARACTERS for stop in stops_of(chat)):
            raise UnsupportedParameter(
                f"A stop sequence has at most {MAX_STOP_CHARACTERS} characters here.", param="stop"
            )
        if chat.top_logprobs and chat.top_logprobs > MAX_TOP_LOGPROBS:
            raise UnsupportedParameter(f"top_logprobs can be at most {MAX_TOP_LOGPROBS}.", param="top_logprobs")
        _check_format(chat)
        for schema, path in schemas_of(chat):
            try:
                accepted(schema)
            except SchemaRefused as refused:
                raise UnsupportedParameter(f"This model's server follows no schema {refused}.", param=path) from None

    async def count_prompt(self, chat: Chat) -> int | None:
        """Count the tokens of the templated prompt."""
        counted = await self.ask("POST", "/chat_tokenize", self.encode(chat, None), type=_ChatTokens)
        return len(counted.tokenize_response)

    async def count_text(self, text: str) -> int | None:
        """Count the tokens of plain text, without the special ones that the tokenizer puts around it."""
        if self._special_tokens is None:
            # One letter is one token in every vocabulary; what else comes was added.
            self._special_tokens = await self._tokenize("a") - 1
        return max(0, await self._tokenize(text) - self._special_tokens) if text else 0

    async def describe(self) -> Description:
        """Ask what is served, and with which limits."""
        info = await self.ask("GET", "/info", type=_Info)
        return Description(info.model_id, info.max_total_tokens, info.max_concurrent_requests, info.model_pipeline_tag)

    def encode(self, chat: Chat, max_tokens: int | None) -> bytes:
        """Write the request's body.

        TGI takes ``![](address)`` in a prompt for an image and fetches it from inside the operator's network; a space
        in the brackets means the same in markdown and nothing to TGI.
        """
        return super().encode(chat, max_tokens).replace(b"![](", b"![ ](")

    def translate(self, chat: Chat, max_tokens: int | None) -> Chat:
        """Return the chat as TGI wants it; what it cannot do was refused by ``check``."""
        chat = with_schemas(super().translate(chat, max_tokens), accepted)
        # Nothing but the most likely token, which is how zero is understood.
        is_greedy = any(each is not None and each < _NEXT_TO_NOTHING for each in (chat.temperature, chat.top_p))
        narrows = chat.top_p is not None and chat.top_p < 1 - _NEXT_TO_NOTHING
        penalty = chat.repetition_penalty
        return structs.replace(
            chat,
            model=self._model,
            messages=[each for message in chat.messages for each in _apart(message)],
            max_tokens=token_limit(chat, max_tokens) if chat.max_tokens else None,
            temperature=0.0 if is_greedy else chat.temperature,
            stop=stops_of(chat) or None,
            # One is rejected; and any with a temperature of zero would sample after all.
            top_p=chat.top_p if narrows and not is_greedy else None,
            # Zero would become a repetition penalty of two.
            presence_penalty=None if penalty is None else penalty - _PENALTY_OFFSET,
            repetition_penalty=None,
            top_k=None,
            min_p=None,
            seed=chat.seed % 2**64 if chat.seed is not None else None,
            response_format=_grammar(chat),
            tools=[_with_parameters(tool) for tool in chat.tools] if chat.tools else None,
            tool_choice=chat.tool_choice if chat.tools else None,
            parallel_tool_calls=None,
            logit_bias=None,
            reasoning_effort=None,
            chat_template_kwargs=None,
            cache_salt=None,
        )

    def message(self, message: Message) -> Message:
        """Return a message as TGI understands it."""
        message = super().message(message)
        content = message.content
        if isinstance(content, list):
            content = _joined(content)
        return structs.replace(
            message,
            role="system" if message.role == "developer" else message.role,
            content=content,
            tool_calls=[_with_parsed_arguments(call) for call in message.tool_calls or ()] or None,
            reasoning=None,
            reasoning_content=None,
        )

    def error_for(self, status: int, body: bytes) -> EngineError:
        """Return the error for a response that is not a success."""
        return tgi_error_for(self._address, status, body)

    def answer_reader(self, chat: Chat, max_tokens: int | None) -> AnswerReader:
        """Return what reads the answer to a chat."""
        return TgiReader(self._address, chat, max_tokens)

    async def _tokenize(self, text: str) -> int:
        return len(await self.ask("POST", "/tokenize", msgspec.json.encode({"inputs": text}), type=list[msgspec.Raw]))


def _check_format(chat: Chat) -> None:
    """Refuse formats that TGI has no grammar for. Raises UnsupportedParameter."""
    wanted = chat.response_format
    if wanted is None or isinstance(wanted, TextFormat):
        return
    if chat.tools:
        raise UnsupportedParameter("This model does not support tools together with response_format.", param="tools")
    if not isinstance(wanted, JsonSchemaFormat):
        raise UnsupportedParameter(
            "This model does not support json_object: give a json_schema instead.", param="response_format"
        )
    if not wanted.json_schema.schema or "properties" not in wanted.json_schema.schema:
        raise UnsupportedParameter(
            "This model needs a schema with properties.", param="response_format.json_schema.schema"
        )


def _grammar(chat: Chat) -> dict[str, Any] | None:
    """Return the response format in TGI's own shape."""
    if isinstance(chat.response_format, JsonSchemaFormat):
        return {"type": "json_object", "value": chat.response_format.json_schema.schema}
    return None


def _with_parameters(tool: Tool) -> Tool:
    """Return a tool that has parameters: TGI requires them."""
    if tool.function.parameters:
        return tool
    return structs.replace(tool, function=structs.replace(tool.function, parameters=_ANY_PARAMETERS))


def _with_parsed_arguments(call: ToolCall) -> ToolCall:
    """Return a call with its arguments as an object: a text would reach the prompt escaped twice."""
    arguments = call.function.arguments
    try:
        is_object = isinstance(msgspec.json.decode(arguments), dict)
    except UNREADABLE:
        is_object = False
    if not is_object:
        return call
    return structs.replace(call, function=structs.replace(call.function, arguments=msgspec.Raw(arguments.encode())))


def _apart(message: Message) -> list[Message]:
    """Return a message that calls tools in two: beside a content, even an empty one, TGI drops the calls."""
    if not message.tool_calls:
        return [message]
    calls = structs.replace(message, content=UNSET)
    return [structs.replace(message, tool_calls=None), calls] if message.content else [calls]


def _joined(parts: list[TextPart | ImagePart]) -> list[TextPart | ImagePart]:
    """Join neighbouring texts, as TGI does: joined here, no image address hides across their seam."""
    joined: list[TextPart | ImagePart] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, TextPart) and isinstance(last, TextPart):
            joined[-1] = TextPart(last.text + part.text)
        else:
            joined.append(part)
    return joined


class _ChatTokens(msgspec.Struct):
    """The tokens of a templated chat."""

    tokenize_response: list[msgspec.Raw]


class _Info(msgspec.Struct):
    """What TGI tells about itself."""

    model_id: str | None = None
    max_total_tokens: int | None = None
    max_concurrent_requests: int | None = None
    model_pipeline_tag: str | None = None
