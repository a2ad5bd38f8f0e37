"""Every dialect's parser meets bodies that were good once: it understands them, or refuses them by what is at fault."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final, NamedTuple

import msgspec
import pytest

from api import completions, embeddings, rerank
from api.exchange import Writer
from api.messages import request as messages
from api.messages.errors import error_fields, status_of
from api.messages.writer import MessageWriter
from api.responses import request as responses
from api.responses.writer import ResponseWriter, renamed
from inference.billing import prompt
from inference.billing.prompt import Overhead
from inference.chat import Chat
from inference.engines.base import EndpointAddress
from inference.errors import InvalidRequest, MalformedBody, UnsupportedParameter
from inference.models import Endpoint
from tests.api.mutations import mutated
from tests.inference.clients import engine_for
from web.chat import read
from web.errors import Problem, describe, error_body
from web.ignored import ignored_head

PNG: Final = "data:image/png;base64,iVBORw0KGgo="
SCHEMA: Final = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "pattern": "^[A-Z][a-z]{1,20}$", "minLength": 2, "maxLength": 21},
        "days": {"type": "array", "items": {"$ref": "#/$defs/day"}, "minItems": 1, "maxItems": 7},
        "unit": {"anyOf": [{"enum": ["c", "f"]}, {"type": ["null", "integer"], "minimum": 0, "maximum": 5}]},
    },
    "required": ["city"],
    "additionalProperties": False,
    "$defs": {"day": {"type": "object", "properties": {"next": {"$ref": "#/$defs/day"}, "at": {"const": 1}}}},
}
FUNCTION: Final = {"name": "weather", "description": "d", "parameters": SCHEMA, "strict": True}
CALL: Final = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
SAMPLING: Final = {"temperature": 0.5, "top_p": 0.9, "seed": 7, "stop": ["END"], "logit_bias": {"5": -1.5}}

CHATS: Final = (
    {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True} | SAMPLING,
    {
        "model": "m",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "x"}}]},
            {
                "role": "user",
                "name": "a",
                "content": [{"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}],
            },
            {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_details": [{"text": "hm"}]},
            {"role": "tool", "tool_call_id": "c1", "content": "5 degrees"},
        ],
        "tools": [{"type": "function", "function": FUNCTION}, {"type": "custom", "custom": {"name": "patch"}}],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"name": "weather"}]}},
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        "reasoning": {"effort": "low", "exclude": True},
    },
    {
        "model": "m",
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": {"a": 1}}},
            {"role": "function", "name": "weather", "content": "5"},
        ],
        "functions": [FUNCTION],
        "function_call": {"name": "weather"},
        "max_completion_tokens": 10,
        "metadata": {"a": "b"},
        "chat_template_kwargs": {"enable_thinking": False},
        "logprobs": True,
        "top_logprobs": 2,
    },
    {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA, "strict": True}},
        "max_tokens": 10,
    },
    {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "response_format": {"type": "json_object", "schema": SCHEMA},
        "repeat_penalty": 1.1,
    },
)
RESPONSES: Final = (
    {"model": "m", "input": "hi", "instructions": "Be brief.", "stream": True, "include": [responses.LOGPROBS]},
    {
        "model": "m",
        "instructions": [{"role": "developer", "content": "one"}],
        "input": [
            {
                "role": "user",
                "content": [{"type": "input_text", "text": "hi"}, {"type": "input_image", "image_url": PNG}],
            },
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "x"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
            {"type": "function_call", "call_id": "c1", "name": "weather", "namespace": "n", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": {"a": [1]}},
            {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": "x"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "y"}]},
            {"type": "web_search_call", "id": "w", "status": "completed", "action": {"query": "x"}},
        ],
        "tools": [
            {"type": "function", **FUNCTION},
            {"type": "custom", "name": "patch", "format": {"type": "grammar", "syntax": "lark", "definition": "a"}},
            {"type": "namespace", "name": "n", "tools": [{"type": "function", **FUNCTION}]},
            {"type": "web_search", "filters": {"allowed_domains": ["a"]}},
        ],
        "tool_choice": {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "function", "name": "weather"}],
        },
        "text": {"format": {"type": "json_schema", "name": "s", "schema": SCHEMA, "strict": True}, "verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "metadata": {"a": "b"},
        "max_output_tokens": 10,
        "top_logprobs": 2,
        "truncation": "auto",
    },
)
MESSAGES: Final = (
    {"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}], "stop_sequences": ["END"]},
    {
        "model": "m",
        "max_tokens": 10,
        "system": [{"type": "text", "text": "x-anthropic-billing-header: a\nHi", "cache_control": {"ttl": "1h"}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "hi"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
                    {"type": "document", "title": "t", "source": {"type": "text", "data": "x"}},
                    {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "x"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": [
                {"type": "text", "text": "no"}]}]},
            {"role": "system", "content": "Be kind."},
        ],
        "tools": [{"name": "weather", "description": "d", "input_schema": SCHEMA}, {"type": "bash_20250124"}],
        "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 1_024},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
        "metadata": {"user_id": "u"},
        "stream": True,
    },
)  # fmt: skip
COMPLETIONS: Final = (
    {"model": "m", "prompt": "Once", "suffix": "end", "max_tokens": 5, "stream": True, "echo": True} | SAMPLING,
    {"model": "m", "prompt": [[1, 2, 3]], "n": 1, "best_of": 1, "stream_options": None},
)
EMBEDDINGS: Final = (
    {"model": "m", "input": ["one", "two"], "encoding_format": "base64", "dimensions": 8, "user": "u"},
    {"model": "m", "input": [[1, 2], [3]]},
)
RERANK: Final = (
    {"model": "m", "query": "q", "documents": ["one", {"text": "two", "id": 2}], "top_n": 1, "return_documents": True},
)


def write_as_openai(problem: Problem) -> bytes:
    return error_body(renamed(problem))


def write_as_anthropic(problem: Problem) -> bytes:
    assert status_of(problem) == problem.status
    return msgspec.json.encode(error_fields(problem, "req_1"))


def chat(body: bytes) -> tuple[Chat, tuple[str, ...], None]:
    parsed = read(body)
    return parsed.chat, parsed.ignored, None


def response(body: bytes) -> tuple[Chat, tuple[str, ...], Writer]:
    asked = responses.understand(responses.parse(body), [])
    # As it is kept, and told again.
    kept = msgspec.json.decode(msgspec.json.encode(asked.request), type=responses.ResponseRequest)
    assert responses.understand(kept, []).chat == asked.chat
    return asked.chat, asked.ignored, ResponseWriter("0" * 32, 0, asked)


def message(body: bytes) -> tuple[Chat, tuple[str, ...], Writer]:
    asked = messages.parse(body)
    return asked.chat, asked.ignored, MessageWriter("0" * 32, asked)


def completion(body: bytes) -> tuple[Chat, tuple[str, ...], Writer]:
    asked = completions.parse(body)
    return asked.chat, asked.ignored, completions.CompletionWriter("0" * 32, 0, asked)


def embedding(body: bytes) -> tuple[Chat, tuple[str, ...], None]:
    return embeddings.parse(body).chat, (), None


def ranking(body: bytes) -> tuple[Chat, tuple[str, ...], None]:
    return rerank.parse(body).chat, (), None


class Dialect(NamedTuple):
    """A protocol: how its bodies are read, and its errors written."""

    bodies: tuple[dict[str, Any], ...]
    understand: Callable[[bytes], tuple[Chat, tuple[str, ...], Writer | None]]
    write: Callable[[Problem], bytes] = write_as_openai


DIALECTS: Final = {
    "chat": Dialect(CHATS, chat),
    "responses": Dialect(RESPONSES, response),
    "messages": Dialect(MESSAGES, message, write_as_anthropic),
    "completions": Dialect(COMPLETIONS, completion),
    "embeddings": Dialect(EMBEDDINGS, embedding),
    "rerank": Dialect(RERANK, ranking),
}
ENGINES: Final = [engine_for(EndpointAddress(kind, "http://localhost", "", "m")) for kind in Endpoint.Kind.values]
OVERHEAD: Final = Overhead(plain=1, system=1, tools=1, image=1)
in_any_order = msgspec.json.Encoder(order="deterministic").encode


@pytest.mark.parametrize("name", DIALECTS)
def test_the_bodies_that_are_changed_are_good(name: str) -> None:
    for body in DIALECTS[name].bodies:
        understood, _, _ = DIALECTS[name].understand(msgspec.json.encode(body))
        assert [*served(understood)]


@pytest.mark.parametrize("times", [100, pytest.param(10_000, marks=pytest.mark.at_length)])
@pytest.mark.parametrize("name", DIALECTS)
def test_a_changed_body_is_understood_or_refused_by_what_is_at_fault(name: str, times: int) -> None:
    dialect, random = DIALECTS[name], Random(f"{name} {times}")
    for _ in range(times):
        body = mutated(random.choice(dialect.bodies), random)
        try:
            check(dialect, body)
        except Exception as error:
            error.add_note(f"The body was {body[:2_000]!r}")
            raise


def check(dialect: Dialect, body: bytes) -> None:
    try:
        understood, ignored, writer = dialect.understand(body)
    except InvalidRequest as error:
        check_refusal(dialect, error, body)
        return
    # What is to be done with it before the first token can be done.
    assert in_any_order(understood)
    assert all(name.isascii() and name.isprintable() for name in ignored_head(ignored).values())
    assert prompt.bound(understood, OVERHEAD) >= 0
    assert prompt.estimate(understood, 1) > 0
    if writer:
        assert isinstance(writer.opening(), bytes)
    for refusal in served(understood, refusals=True):
        check_refusal(dialect, refusal, body)


def served(understood: Chat, *, refusals: bool = False) -> Iterator[Any]:
    """Yield what is sent to each kind of engine; or, if that is asked for, why nothing is."""
    for engine in ENGINES:
        try:
            engine.check(understood)
        except UnsupportedParameter as error:
            if refusals:
                yield error
            continue
        request = engine.request(understood, 16)
        if not refusals:
            yield request


def check_refusal(dialect: Dialect, error: InvalidRequest, body: bytes) -> None:
    """Check that it can be told, and that it names the field, unless it is about the body as a whole."""
    problem = describe(error)
    assert problem.status == 400
    assert problem.message
    assert msgspec.json.decode(dialect.write(problem))
    if isinstance(error, MalformedBody) or not body.startswith(b"{") or "values are accepted" in error.message:
        return
    assert error.param is not None, error.message
