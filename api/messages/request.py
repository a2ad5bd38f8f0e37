"""A request to ``/v1/messages`` as Anthropic's reference has it, and the chat that it asks for."""

import re
from typing import Any, Final

import msgspec
from msgspec import Struct

from api.messages.blocks import BlockTurns
from inference.chat import Chat
from inference.errors import InvalidRequest, UnsupportedParameter
from web.chat import chat_of, check_parameters, is_long, read_as
from web.chat.origins import Origins
from web.chat.tools import short_name

# What changes nothing in the answer here, and is named as left out.
_CARRIED_ALONG: Final = (
    *("betas", "cache_control", "context_management", "diagnostics", "inference_geo", "service_tier", "speed"),
)
# The line at the head of Claude Code's instructions says what it costs whom. It is another one in each request, and so
# would be all that follows it to whoever remembers prompts by how they begin.
_BILLING: Final = re.compile(r"\Ax-anthropic-billing-header:[^\n]*\n*")
_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}


class MessagesRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What a client may send. ``None`` means the same as leaving the field out; what is ``Any`` is read further in."""

    model: Any = None
    messages: list[dict[str, Any]] | None = None
    max_tokens: Any = None
    system: str | list[dict[str, Any]] | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: Any = None
    top_p: Any = None
    top_k: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
    output_format: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None

    betas: Any = None
    cache_control: Any = None
    context_management: Any = None
    diagnostics: Any = None
    inference_geo: Any = None
    service_tier: Any = None
    speed: Any = None

    # What nothing here does; an empty list asks for nothing.
    container: None = None
    mcp_servers: list[None] | None = None


class Asked(Struct, frozen=True):
    """A request, and what is to be known to answer in its words."""

    # What the client calls the model.
    model: str
    chat: Chat
    ignored: tuple[str, ...]
    # What functions are called by the client, where engines have another name for them.
    names: dict[str, str]
    # Whether thoughts are told: who did not ask for them looks for the text in the first place.
    shows_thoughts: bool


_decoder = msgspec.json.Decoder(MessagesRequest)


def parse(body: bytes, *, is_count: bool = False) -> Asked:
    """Read a request body. A request that only counts tokens needs no ``max_tokens``. Raises InvalidRequest."""
    request = read_as(_decoder, body)
    check_parameters(msgspec.structs.asdict(request))
    for name in ("model", "messages") if is_count else ("model", "messages", "max_tokens"):
        if getattr(request, name) is None:
            raise InvalidRequest(f"{name}: Field required", param=name)
    if is_long(request.messages):
        raise InvalidRequest("There are more messages than are accepted.", param="messages")
    return _understand(request)


def _understand(request: MessagesRequest) -> Asked:
    original, ignored = Origins(), [name for name in _CARRIED_ALONG if getattr(request, name) is not None]
    given = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "stop": request.stop_sequences or None,
        "stream": request.stream,
    }
    original.note("stop", "stop_sequences")
    fields: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    user = (request.metadata or {}).get("user_id")
    if isinstance(user, str):
        fields["user"] = user
    functions = _functions(request.tools or [], ignored, original)
    names = {function["name"]: name for name, function in functions if function["name"] != name}
    if functions:
        fields["tools"] = [{"type": "function", "function": function} for _, function in functions]
        _choose(request.tool_choice or {}, fields, ignored)
    elif (request.tool_choice or {}).get("type") in ("any", "tool"):
        raise UnsupportedParameter("There is no tool left that could be called.", param="tool_choice")
    fields["messages"] = _messages(request, ignored, original)
    _read_output(request, fields, ignored, original)
    thinking = request.thinking or {}
    if thinking:
        ignored.append("thinking")
    chat = chat_of(fields, original)
    return Asked(chat.model, chat, tuple(ignored), names, thinking.get("type") in ("enabled", "adaptive"))


def _messages(request: MessagesRequest, ignored: list[str], original: Origins) -> list[dict[str, Any]]:
    turns = BlockTurns(ignored)
    if isinstance(request.system, str):
        turns.instruct(_without_billing(request.system, "system", ignored), "system")
    else:
        for place, block in enumerate(request.system or ()):
            path = f"system[{place}]"
            if not isinstance(block.get("text"), str):
                raise InvalidRequest(f"{path}.text is a text.", param=f"{path}.text")
            turns.instruct(_without_billing(block["text"], path, ignored), path)
    for place, message in enumerate(request.messages or ()):
        turns.take(message, f"messages[{place}]")
    return turns.finish(original)


def _without_billing(text: str, path: str, ignored: list[str]) -> str:
    kept = _BILLING.sub("", text)
    if kept != text:
        ignored.append(path)
    return kept


def _functions(given: list[dict[str, Any]], ignored: list[str], original: Origins) -> list[tuple[str, dict[str, Any]]]:
    """Return the tools as functions, each with the client's name for it; Anthropic's own are left out."""
    functions: list[tuple[str, dict[str, Any]]] = []
    for place, tool in enumerate(given):
        path = f"tools[{place}]"
        if tool.get("type") not in (None, "custom"):
            ignored.append(path)
            continue
        name = tool.get("name")
        if not isinstance(name, str) or not name:
            raise InvalidRequest(f"{path}.name: Field required", param=f"{path}.name")
        function = {"name": short_name(name), "description": tool.get("description")}
        original.note(f"tools[{len(functions)}].function.parameters", f"{path}.input_schema")
        original.note(f"tools[{len(functions)}].function", path)
        functions.append((name, function | {"parameters": tool.get("input_schema"), "strict": tool.get("strict")}))
    return functions


def _choose(choice: dict[str, Any], fields: dict[str, Any], ignored: list[str]) -> None:
    kind = choice.get("type")
    if kind == "tool":
        name = choice.get("name")
        fields["tool_choice"] = {
            "type": "function",
            "function": {"name": short_name(name) if isinstance(name, str) else name},
        }
    elif kind is not None:
        fields["tool_choice"] = _CHOICES.get(kind, kind) if isinstance(kind, str) else kind
    if choice.get("disable_parallel_tool_use"):
        fields["parallel_tool_calls"] = False


def _read_output(request: MessagesRequest, fields: dict[str, Any], ignored: list[str], original: Origins) -> None:
    """Take over the schema of the answer, under its older name too."""
    config = request.output_config or {}
    path, wanted = "output_config.format", config.get("format")
    if wanted is None:
        path, wanted = "output_format", request.output_format
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
        schema = {"name": "answer", "schema": wanted.get("schema"), "strict": True}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
        original.note("response_format.json_schema", path)
    elif wanted is not None:
        raise UnsupportedParameter(f"{path} is a JSON schema.", param=path)
    ignored += [f"output_config.{name}" for name, value in config.items() if name != "format" and value is not None]
