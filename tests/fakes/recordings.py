"""The recordings of TGI's own integration tests, where they are at hand, as the streams that TGI would have sent."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

FOLDER = Path(settings.BASE_DIR).parent / "shared" / "tgi" / "recorded"
# So that tests have names where there are no recordings; a test holds it against the folder.
NAMES = (
    "chat_llama_test_flash_llama_simple",
    "completion_prompts_test_chat_hfhub_usage",
    "completion_prompts_test_chat_openai_nousage",
    "completion_prompts_test_chat_openai_usage",
    "completion_prompts_test_flash_llama_completion_many_prompts",
    "completion_prompts_test_flash_llama_completion_many_prompts_stream",
    "completion_prompts_test_flash_llama_completion_stream_usage",
    "continue_final_message_test_llama_completion_single_prompt_continue",
    "flash_qwen2_vl_test_flash_qwen2_vl_simple_streaming",
    "grammar_response_format_llama_test_grammar_response_format_llama_json",
    "json_schema_constrain_test_json_schema_stream",
    "mllama_test_mllama_simpl",
    "tools_llama_test_flash_llama_grammar_tools_choice_stream",
    "tools_llama_test_flash_llama_grammar_tools_insufficient_information_nostream",
    "tools_llama_test_flash_llama_grammar_tools_insufficient_information_stream",
    "tools_llama_test_flash_llama_grammar_tools_nostream",
    "tools_llama_test_flash_llama_grammar_tools_openai",
    "tools_llama_test_flash_llama_grammar_tools_sea_creatures_stream_none",
    "tools_llama_test_flash_llama_tool_reply_response",
)


def recorded(name: str) -> list[dict[str, Any]]:
    """Return a recording's chunks, or its one answer; the test is skipped where there are no recordings."""
    if not FOLDER.is_dir():
        pytest.skip(f"the recordings are not at {FOLDER}")
    chunks = json.loads((FOLDER / f"test_{name}.json").read_text())
    return chunks if isinstance(chunks, list) else [chunks]


def streams(name: str) -> list[list[dict[str, Any]]]:
    """Return a recording as streams of chat chunks: one, or one for each prompt of a text completion."""
    chunks = recorded(name)
    kind = chunks[0]["object"]
    if kind == "chat.completion.chunk":
        return [chunks]
    if kind == "chat.completion":
        return [_stream_of(chunks[0])]
    by_index: dict[int, list[dict[str, Any]]] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            delta = {"role": "assistant", "content": choice["text"]}
            event = _chunk(chunk, delta, choice["finish_reason"] or None)
            by_index.setdefault(choice["index"], []).append(event)
    return [by_index[index] for index in sorted(by_index)]


def _stream_of(whole: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a whole answer as TGI streams it."""
    (choice,) = whole["choices"]
    message = choice["message"]
    if message.get("tool_calls"):
        (call,) = message["tool_calls"]
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        deltas = [_call(name, arguments[:1]), _call(None, arguments[1:])]
        # A streamed tool call has no finish reason.
        chunks = [_chunk(whole, delta, None) for delta in deltas]
    else:
        *words, last = re.findall(r"\s*\S+|\s+", message["content"])
        chunks = [_chunk(whole, {"role": "assistant", "content": word}, None) for word in words]
        chunks.append(_chunk(whole, {"role": "assistant", "content": last}, choice["finish_reason"]))
    return [*chunks, _chunk(whole, None, None) | {"usage": whole["usage"]}]


def _call(name: str | None, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"role": "assistant", "tool_calls": [{"index": 0, "id": "0", "type": "function", "function": function}]}


def _chunk(origin: dict[str, Any], delta: dict[str, Any] | None, finish_reason: str | None) -> dict[str, Any]:
    """Return a chunk with the outer fields of what it came from."""
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}] if delta else []
    shell = {field: origin[field] for field in ("id", "created", "model", "system_fingerprint")}
    return {"object": "chat.completion.chunk", **shell, "choices": choices, "usage": None}
