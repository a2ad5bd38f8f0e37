"""An engine that does what it is told: it calls tools, fills schemas, and says back what it heard.

A user's line ``CALL {"name": …, "arguments": …}`` has it call that tool; several lines, one after the other. A tool's
name in what the user says has it call that tool with arguments that fit. A schema is filled; otherwise it speaks: what
stands as JSON behind ``SAY``, or what was said last.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.fakes.openai_server import JSON, STREAM, FakeOpenAI
from tests.fakes.script import Play
from tests.fakes.server import Connection, Request
from tests.fakes.tgi_events import dumps, event, usage
from tests.fakes.tgi_validation import templated, tokens_of

_CALL = re.compile(r"^\s*CALL (\{.*\})\s*$", re.MULTILINE)
_SAY = re.compile(r"^\s*SAY (\".*\")\s*$", re.MULTILINE)
_NUMBER = re.compile(r"-?\d+")
_QUOTED = re.compile(r"'([^']+)'")


@dataclass(eq=False)
class FakeAgent(FakeOpenAI):
    """A vLLM whose model obeys."""

    owned_by: str = "vllm"
    context_tokens: int = 100_000
    # How many tokens of each prompt are told as read from a cache.
    cached_tokens: int = 2

    async def answer(self, request: Request, connection: Connection) -> None:
        """Answer one request as the route does."""
        if request.path != "/v1/chat/completions":
            await super().answer(request, connection)
            return
        asked = request.json
        prompt_tokens = len(tokens_of(templated([_plain(message) for message in asked["messages"]])))
        if prompt_tokens > self.context_tokens:
            message = (
                f"This model's maximum context length is {self.context_tokens} tokens. However, your request has "
                f"{prompt_tokens} input tokens. Please reduce the length of the input messages."
            )
            connection.respond(400, dumps({"object": "error", "message": message, "type": "BadRequestError"}), JSON)
            return
        deltas, reason = _deltas(asked)
        limit = asked.get("max_tokens")
        if limit is not None and len(deltas) > limit:
            deltas, reason = deltas[:limit], "length"
        events = [self.chunk({"role": "assistant", "content": ""}), *(self.chunk(delta) for delta in deltas)]
        counts = usage(prompt_tokens, len(deltas)) | {
            "prompt_tokens_details": {"cached_tokens": min(self.cached_tokens, prompt_tokens)}
        }
        tail = [self.chunk({}, reason), event(self._shell([]) | {"usage": counts})]
        connection.begin(STREAM)
        await Play(request, connection, self.script).stream(events, tail)


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    return message | {"content": _text(message)}


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def _deltas(asked: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """Return the pieces of the answer, and why it ends."""
    called = _wanted_call(asked)
    if called:
        name, arguments = called
        written = json.dumps(arguments)
        middle = len(written) // 2
        identity = f"call_{sum(len(message.get('tool_calls') or ()) for message in asked['messages'])}"
        function = {"name": name, "arguments": ""}
        begun = {"index": 0, "id": identity, "type": "function", "function": function}
        pieces = [{"index": 0, "function": {"arguments": piece}} for piece in (written[:middle], written[middle:])]
        return [{"tool_calls": [each]} for each in (begun, *pieces)], "tool_calls"
    wanted = asked.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        schema = wanted["json_schema"]["schema"]
        return _words(json.dumps(instance(schema, schema)), asked), "stop"
    if wanted.get("type") == "json_object":
        names = _QUOTED.findall(_text(asked["messages"][-1])) or ["answer"]
        return _words(json.dumps(dict.fromkeys(names, "text")), asked), "stop"
    last = asked["messages"][-1]
    if told := _SAY.search(_text(last)):
        return _words(json.loads(told[1]), asked), "stop"
    said = _text(last)[-200:]
    beginning = "The tool gave" if last["role"] == "tool" else "You said"
    return _words(f"{beginning}: {said}", asked), "stop"


def _words(text: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    stops = asked.get("stop") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.partition(stop)[0]
    return [{"content": word} for word in re.findall(r"\s*\S+\s*", text)]


def _wanted_call(asked: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    tools = {tool["function"]["name"]: tool["function"] for tool in asked.get("tools") or ()}
    choice = asked.get("tool_choice")
    messages = asked["messages"]
    heard = max((place for place, message in enumerate(messages) if message["role"] == "user"), default=0)
    said = _text(messages[heard])
    done = sum(len(message.get("tool_calls") or ()) for message in messages[heard:])
    if not tools or choice == "none":
        return None
    told = [json.loads(found) for found in _CALL.findall(said)]
    if told:
        return (told[done]["name"], told[done]["arguments"]) if done < len(told) else None
    if done:
        return None
    named = [name for name in tools if name.removeprefix("get_") in said]
    if isinstance(choice, dict):
        named = [choice["function"]["name"]]
    elif choice == "required":
        named = named or list(tools)
    if not named:
        return None
    schema = tools[named[0]].get("parameters") or {}
    given = Given([int(number) for number in _NUMBER.findall(said.replace(named[0], ""))], _QUOTED.findall(said))
    return named[0], instance(schema, schema, given) or {}


class Given(NamedTuple):
    """What was said that may be an argument; taken while it lasts."""

    numbers: list[int]
    texts: list[str]


NOTHING = Given([], [])


def instance(schema: Any, root: Any, given: Given = NOTHING) -> Any:  # noqa: PLR0911 - one for each kind
    """Return a value that a JSON schema allows, with numbers and texts that are given."""
    if not isinstance(schema, dict):
        return None
    if "$ref" in schema:
        found = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return instance(found, root, given)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for several in ("anyOf", "oneOf", "allOf"):
        if schema.get(several):
            return instance(schema[several][0], root, given)
    kind = schema.get("type", "object" if "properties" in schema else None)
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties") or {}
        wanted = schema.get("required", list(properties))
        return {name: instance(properties.get(name), root, given) for name in properties if name in wanted}
    if kind == "array":
        return [instance(schema.get("items"), root, given) for _ in range(schema.get("minItems", 1))]
    if kind in ("integer", "number"):
        return given.numbers.pop(0) if given.numbers else max(1, schema.get("minimum", 1))
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    return given.texts.pop(0) if given.texts else "text"
