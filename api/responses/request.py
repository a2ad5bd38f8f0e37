"""A request to ``/v1/responses`` as OpenAI's reference has it, and the chat that it asks for."""

from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from api.responses.items import ItemTurns
from api.responses.tools import Flattened, chosen, flatten
from inference.chat import Chat
from inference.errors import InvalidRequest, UnsupportedParameter
from web.chat import chat_of, check_parameters, is_long, read_as
from web.chat.origins import Origins

Items = list[dict[str, Any]]

# What changes nothing in the answer here, and is named as left out.
_CARRIED_ALONG: Final = ("client_metadata", "context_management", "max_tool_calls", "prompt_cache_breakpoint")
# Parameters of a chat by the same name.
_SHARED: Final = (
    *("model", "temperature", "top_p", "parallel_tool_calls", "metadata", "user", "safety_identifier"),
    *("service_tier", "prompt_cache_key", "prompt_cache_retention", "store", "stream"),
)
LOGPROBS: Final = "message.output_text.logprobs"


class ResponseRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What a client may send. ``None`` means the same as leaving the field out; what is ``Any`` is read further in."""

    model: Any = None
    input: str | Items | None = None
    instructions: str | Items | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    background: bool | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    include: list[str] | None = None

    max_output_tokens: Any = None
    temperature: Any = None
    top_p: Any = None
    top_logprobs: int | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    tools: Items | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    truncation: Literal["auto", "disabled"] | None = None

    metadata: dict[str, Any] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None

    client_metadata: Any = None
    context_management: Any = None
    max_tool_calls: Any = None
    prompt_cache_breakpoint: Any = None

    # What nothing here does.
    conversation: None = None
    moderation: None = None
    prompt: None = None


class Asked(Struct, frozen=True):
    """A request, and what is to be known to answer in its words."""

    request: ResponseRequest
    chat: Chat
    tools: Flattened
    ignored: tuple[str, ...]

    @property
    def is_stored(self) -> bool:
        """Whether the response can be had again, and be gone on from."""
        return self.request.store is not False

    @property
    def summarizes(self) -> bool:
        """Whether thoughts are to be shown as a summary."""
        reasoning = self.request.reasoning or {}
        return bool(reasoning.get("summary") or reasoning.get("generate_summary"))


_decoder = msgspec.json.Decoder(ResponseRequest)


def parse(body: bytes) -> ResponseRequest:
    """Read a request body. Raises InvalidRequest."""
    request = read_as(_decoder, body)
    check_parameters(msgspec.structs.asdict(request))
    for name in ("input", "instructions"):
        if is_long(getattr(request, name)):
            raise InvalidRequest("There are more items than are accepted.", param=name)
    if request.model is None:
        raise InvalidRequest("Missing parameter: model", param="model")
    if request.input is None and request.previous_response_id is None:
        raise InvalidRequest("Missing parameter: input", param="input")
    if request.background and request.store is False:
        raise InvalidRequest("A response in the background is stored: leave store out.", param="store")
    return request


def understand(request: ResponseRequest, earlier: Items) -> Asked:
    """Return the chat that is asked for, behind the items of earlier responses. Raises InvalidRequest."""
    original, ignored = Origins(), [name for name in _CARRIED_ALONG if getattr(request, name) is not None]
    fields: dict[str, Any] = {name: getattr(request, name) for name in _SHARED if getattr(request, name) is not None}
    tools = flatten(request.tools or [], ignored, original)
    fields["messages"] = _messages(request, earlier, ignored, original)
    if tools.functions:
        fields["tools"] = tools.functions
        fields["tool_choice"] = chosen(request.tool_choice, tools, fields)
    elif request.tool_choice not in (None, "auto", "none"):
        raise UnsupportedParameter("There is no tool left that could be called.", param="tool_choice")
    else:
        fields.pop("parallel_tool_calls", None)
    if request.max_output_tokens is not None:
        fields["max_completion_tokens"] = request.max_output_tokens
        original.note("max_completion_tokens", "max_output_tokens")
    if request.top_logprobs or LOGPROBS in (request.include or ()):
        fields |= {"logprobs": True, "top_logprobs": request.top_logprobs}
    if request.truncation == "auto":
        ignored.append("truncation")
    _read_format(request.text or {}, fields, ignored, original)
    _read_reasoning(request.reasoning or {}, fields, ignored, original)
    return Asked(request, chat_of(fields, original), tools, tuple(ignored))


def _messages(request: ResponseRequest, earlier: Items, ignored: list[str], original: Origins) -> list[dict[str, Any]]:
    turns = ItemTurns(ignored)
    if isinstance(request.instructions, str):
        turns.instruct(request.instructions, "instructions")
    else:
        for place, item in enumerate(request.instructions or ()):
            turns.take(item, f"instructions[{place}]")
    for item in earlier:
        turns.take(item, "previous_response_id")
    if isinstance(request.input, str):
        turns.take({"role": "user", "content": request.input}, "input")
    else:
        for place, item in enumerate(request.input or ()):
            turns.take(item, f"input[{place}]")
    messages = turns.finish(original)
    if not messages:
        raise InvalidRequest("There is nothing to answer.", param="input")
    return messages


def _read_format(text: dict[str, Any], fields: dict[str, Any], ignored: list[str], original: Origins) -> None:
    """Take over the format of the text, which has the schema inside of ``json_schema`` in a chat."""
    wanted = text.get("format")
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
        schema = {name: value for name, value in wanted.items() if name != "type"}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
        original.note("response_format.json_schema", "text.format")
    elif wanted is not None:
        fields["response_format"] = wanted
    original.note("response_format", "text.format")
    ignored += [f"text.{name}" for name, value in text.items() if name != "format" and value is not None]


def _read_reasoning(reasoning: dict[str, Any], fields: dict[str, Any], ignored: list[str], original: Origins) -> None:
    if reasoning.get("effort") is not None:
        fields["reasoning_effort"] = reasoning["effort"]
        original.note("reasoning_effort", "reasoning.effort")
    known = ("effort", "summary", "generate_summary")
    ignored += [f"reasoning.{name}" for name, value in reasoning.items() if name not in known and value is not None]
