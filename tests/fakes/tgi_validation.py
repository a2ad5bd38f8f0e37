"""How TGI turns a request down, from the contract."""

import json
import re
from typing import Any

MAX_BODY_BYTES = 2_000_000
MAX_STOPS = 4
# It generates no more at once.
STEP_TOKENS = 1024

_TYPES: tuple[tuple[str, type | tuple[type, ...], str, bool], ...] = (
    ("stop", list, "a sequence", True),
    ("stream", bool, "a boolean", False),
    ("stream_options", dict, "struct StreamOptions", False),
    ("logit_bias", list, "a sequence", True),
    ("max_tokens", int, "u32", True),
    ("temperature", (int, float), "f32", True),
    ("top_p", (int, float), "f32", True),
)


class Refusal(Exception):
    """A request that is turned down before it is looked at as a generation."""

    def __init__(self, status: int, message: str, error_type: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.error_type = status, message, error_type


def tokens_of(text: str) -> list[str]:
    """Split text into the fake's tokens: words with the space before them, and single other characters."""
    return re.findall(r"<\|im_start\|>|<\|im_end\|>|\s?\w+|\s|[^\w\s]", text)


def templated(messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None = None) -> str:
    """Write a conversation as a prompt."""
    turns = [f"<|im_start|>{message['role']}\n{_text(message)}<|im_end|>\n" for message in messages]
    if tools:
        turns.insert(0, f"<|im_start|>system\nCall one of these: {json.dumps(tools)}<|im_end|>\n")
    return "".join(turns) + "<|im_start|>assistant\n"


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if content is None:
        # Its template writes arguments as JSON, those that are a text already too.
        return json.dumps(message["tool_calls"])
    if isinstance(content, str):
        return content
    return "".join(part["text"] if part["type"] == "text" else f"![]({part['image_url']['url']})" for part in content)


def parsed(content_type: str, body: bytes) -> dict[str, Any]:
    """Read a chat request. Raises Refusal where its syntax or its types are wrong."""
    if len(body) > MAX_BODY_BYTES:
        raise Refusal(413, "Failed to buffer the request body: length limit exceeded")
    if not content_type.startswith("application/json"):
        raise Refusal(415, "Expected request with `Content-Type: application/json`")
    try:
        chat = json.loads(body)
    except ValueError as error:
        raise Refusal(400, f"Failed to parse the request body as JSON: {error}") from None
    _check_types(chat)
    return dict(chat)


def _wrong_type(message: str) -> Refusal:
    return Refusal(422, f"Failed to deserialize the JSON body into the target type: {message} at line 1 column 42")


def _check_types(chat: dict[str, Any]) -> None:
    for field, kind, expected, nullable in _TYPES:
        if field in chat and not isinstance(chat[field], kind) and not (nullable and chat[field] is None):
            raise _wrong_type(f"{field}: invalid type: {json.dumps(chat[field])}, expected {expected}")
    if "max_tokens" in chat and "max_completion_tokens" in chat:
        raise _wrong_type("duplicate field `max_tokens`")
    seed = chat.get("seed")
    if seed is not None and not 0 <= seed < 2**64:
        raise _wrong_type(f"seed: invalid value: integer `{seed}`, expected u64")
    for number, message in enumerate(chat.get("messages", [])):
        if message.get("content") is None and not message.get("tool_calls"):
            raise _wrong_type(f"messages[{number}]: data did not match any variant of untagged enum MessageBody")
    for number, tool in enumerate(chat.get("tools") or []):
        if not {"parameters", "arguments"} & set(tool["function"]):
            raise _wrong_type(f"tools[{number}].function: missing field `arguments`")
    wanted = chat.get("response_format")
    if wanted is not None and (
        wanted.get("type") not in ("json", "json_object", "json_schema", "regex") or "value" not in wanted
    ):
        raise _wrong_type("response_format: missing field `value`")
    chosen = chat.get("tool_choice")
    if isinstance(chosen, dict) and chosen["function"]["name"] not in [
        tool["function"]["name"] for tool in chat.get("tools") or []
    ]:
        raise Refusal(422, f"Tool error: Tool with name {chosen['function']['name']} not found", "tool_error")
    if wanted is not None and "tools" in chat:
        raise Refusal(422, "Tool error: Grammar and tools are mutually exclusive", "tool_error")


def invalid(
    chat: dict[str, Any],
    prompt_tokens: int,
    max_total_tokens: int,
    max_stops: int = MAX_STOPS,
    *,
    most_looked_at: int = STEP_TOKENS,
) -> str | None:
    """Return what is wrong with the values of a chat, in TGI's words."""
    top_p, stop = chat.get("top_p"), chat.get("stop") or []
    if top_p is not None and not 0 < top_p < 1:
        return "`top_p` must be > 0.0 and < 1.0"
    if chat.get("presence_penalty") is not None and chat["presence_penalty"] + 2 <= 0:
        return "`repetition_penalty` must be strictly positive"
    if len(stop) > max_stops:
        return f"`stop` supports up to {max_stops} stop sequences. Given: {len(stop)}"
    if (chat.get("top_logprobs") or 0) > 5:
        return f"`top_n_tokens` must be >= 0 and <= 5. Given: {chat['top_logprobs']}"
    return _invalid_grammar(chat) or _too_long(chat, prompt_tokens, max_total_tokens, most_looked_at)


def _invalid_grammar(chat: dict[str, Any]) -> str | None:
    """Return what its compiler of grammars says."""
    wanted = chat.get("response_format")
    schemas = [tool["function"].get("parameters", {}) for tool in chat.get("tools") or []]
    if wanted and wanted["type"] != "regex":
        schema = wanted["value"]["schema"] if wanted["type"] == "json_schema" else wanted["value"]
        if "properties" not in schema:
            return "grammar is not valid: Grammar must have a 'properties' field"
        schemas.append(schema)
    for schema in schemas:
        written = json.dumps(schema)
        if re.search(r'"type": \[|"not": ', written) or ("$ref" in written and not wanted):
            return "cannot compile regex from schema: Unsupported JSON Schema structure"
    return None


def ends_the_process(chat: dict[str, Any]) -> bool:
    """Whether a schema leads back to itself: TGI's compiler recurses until its stack overflows."""
    wanted = chat.get("response_format")
    return bool(wanted) and bool(re.search(r'"\$ref": "#"', json.dumps(wanted)))


def _too_long(chat: dict[str, Any], prompt_tokens: int, max_total_tokens: int, most_looked_at: int) -> str | None:
    wanted = chat.get("max_tokens") or chat.get("max_completion_tokens")
    if wanted == 0:
        return "`max_new_tokens` must be strictly positive"
    wanted = min(wanted or 0, most_looked_at)
    if prompt_tokens + wanted > max_total_tokens:
        return (
            f"`inputs` tokens + `max_new_tokens` must be <= {max_total_tokens}. "
            f"Given: {prompt_tokens} `inputs` tokens and {wanted} `max_new_tokens`"
        )
    if prompt_tokens >= max_total_tokens:
        return f"`inputs` must have less than {max_total_tokens} tokens. Given: {prompt_tokens}"
    return None


def given_tokens(wanted: int, prompt_tokens: int, max_total_tokens: int) -> int:
    """Return how many tokens an answer gets at most: whole steps where more than one is asked for, if they fit."""
    if wanted <= STEP_TOKENS:
        return wanted
    steps = min(-(-wanted // STEP_TOKENS), (max_total_tokens - prompt_tokens) // STEP_TOKENS)
    return max(1, steps) * STEP_TOKENS
