"""What TGI writes, byte for byte: chunks with ``object`` first, unescaped, and one event in each write."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
FINGERPRINT = "3.3.7-native"
CREATED = 1741265133
DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b":\n\n"

_EVENT_FIELDS = ("object", "id", "created", "model", "system_fingerprint", "choices", "usage")
_CHOICE_FIELDS = ("index", "delta", "logprobs", "finish_reason")
_DELTA_FIELDS = ("role", "content", "tool_calls")


def dumps(value: object) -> bytes:
    """Write JSON as serde does."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def event(value: object) -> bytes:
    """Frame one event."""
    return b"data: %b\n\n" % dumps(value)


def error_event(message: str) -> bytes:
    """Return an error inside a stream; TGI's code is always 422."""
    return event({"error": {"message": message, "http_status_code": 422}})


def chunk(
    delta: dict[str, Any] | None, finish_reason: str | None = None, usage: Any = None, logprobs: Any = None
) -> bytes:
    """Return one event of a chat stream; without a delta it has no choices."""
    choices = [{"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}] if delta else []
    return event(
        {
            "object": "chat.completion.chunk",
            "id": "",
            "created": CREATED,
            "model": MODEL,
            "system_fingerprint": FINGERPRINT,
            "choices": choices,
            "usage": usage,
        }
    )


def usage(prompt: int, completion: int) -> dict[str, int]:
    """Return TGI's token counts."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


@lru_cache(maxsize=256)
def text_events(tokens: tuple[str, ...], finish_reason: str, *, top_logprobs: int | None = None) -> list[bytes]:
    """Return the events of a text answer; the last one carries its token and the finish reason.

    ``top_logprobs``: with how many others each token comes; None: without log-probabilities.
    """

    def logprobs(token: str) -> dict[str, Any] | None:
        if top_logprobs is None:
            return None
        probable = {"token": token, "logprob": -0.5}
        return {"content": [probable | {"top_logprobs": [probable] * top_logprobs}]}

    *most, last = tokens
    return [chunk({"role": "assistant", "content": token}, logprobs=logprobs(token)) for token in most] + [
        chunk({"role": "assistant", "content": last}, finish_reason, logprobs=logprobs(last))
    ]


def tool_events(name: str, arguments: Sequence[str]) -> list[bytes]:
    """Return the events of a tool call: id and type in each, the name in the first, and never a finish reason."""
    return [
        chunk(
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "0",
                        "type": "function",
                        "function": {"name": None if number else name, "arguments": piece},
                    }
                ],
            }
        )
        for number, piece in enumerate(arguments)
    ]


def recorded_event(recorded: dict[str, Any]) -> bytes:
    """Return a recorded chunk as it was on the wire, without what the recording client added to it."""
    value = {field: recorded[field] for field in _EVENT_FIELDS}
    choices = [{field: choice[field] for field in _CHOICE_FIELDS} for choice in recorded["choices"]]
    for choice in choices:
        choice["delta"] = {
            field: choice["delta"][field] for field in _DELTA_FIELDS if choice["delta"].get(field) is not None
        }
    value["choices"] = choices
    if value["usage"]:
        value["usage"] = {k: v for k, v in value["usage"].items() if not k.endswith("_details")}
    return event(value)
