"""A TGI 3.3.7 on a real socket, byte for byte as the contract says, that can be slow, overloaded, broken or silent.

In a test: ``with FakeTgi() as tgi: … tgi.url, tgi.requests, tgi.script.between = 0.1``.
As a process: ``python -m tests.fakes.tgi --port 0 --tokens 100 --between 0.01`` prints its address.
"""

import argparse
import asyncio
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import uvloop

from tests.fakes.script import Play, Script
from tests.fakes.server import Connection, FakeServer, Request
from tests.fakes.tgi_events import (
    CREATED,
    DONE,
    FINGERPRINT,
    MODEL,
    chunk,
    dumps,
    error_event,
    recorded_event,
    text_events,
    tool_events,
    usage,
)
from tests.fakes.tgi_validation import (
    Refusal,
    ends_the_process,
    given_tokens,
    invalid,
    parsed,
    templated,
    tokens_of,
)

WORDS = ("The", " quick", " brown", " fox", " jumps", " over", " the", " lazy", " dog", ".")
JSON = {"content-type": "application/json"}
TEXT = {"content-type": "text/plain; charset=utf-8"}
STREAM = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
    "x-compute-type": "gpu+optimized",
    "access-control-allow-origin": "*",
}


@dataclass(eq=False)
class FakeTgi(FakeServer):
    """The server; needs ``Authorization: Bearer api_key`` where a key is given."""

    script: Script = field(default_factory=Script)
    api_key: str = ""
    max_total_tokens: int = 4096
    max_concurrent_requests: int = 128
    max_stop_sequences: int = 4
    is_healthy: bool = True
    has_crashed: bool = False
    # How much of a limit is held against the context: TGI 3.3.7 looks at no more than a step of it.
    most_looked_at: int = 10_000_000

    def replay(self, recorded: Sequence[dict[str, Any]]) -> None:
        """Answer with recorded chunks from now on."""
        self.script.replayed = recorded

    async def answer(self, request: Request, connection: Connection) -> None:
        """Answer one request as the route does."""
        if self.script.response and request.method == "POST":
            status, content_type, body = self.script.response
            connection.respond(status, body, {"content-type": content_type})
            return
        route = (request.method, request.path)
        if route[1] in ("/v1/chat/completions", "/tokenize") and not self._is_allowed(request):
            connection.respond(401, b"", {})
        elif route == ("POST", "/v1/chat/completions"):
            await self._chat(request, connection)
        elif route == ("POST", "/tokenize"):
            connection.respond(200, dumps(_tokenized(request.json["inputs"], special=True)), JSON)
        elif route == ("POST", "/chat_tokenize"):
            text = templated(request.json["messages"], request.json.get("tools"))
            answer = {"tokenize_response": _tokenized(text), "templated_text": text}
            connection.respond(200, dumps(answer), JSON)
        elif request.method == "GET":
            self._get(request, connection)
        else:
            connection.respond(404, b"", {})

    def _is_allowed(self, request: Request) -> bool:
        return not self.api_key or request.headers.get("authorization") == f"Bearer {self.api_key}"

    def _get(self, request: Request, connection: Connection) -> None:
        if request.path in ("/health", "/ping", "/") and not self.is_healthy:
            connection.respond(503, dumps({"error": "unhealthy", "error_type": "healthcheck"}), JSON)
        elif request.path in ("/health", "/ping", "/"):
            connection.respond(200, b"", {})
        elif request.path == "/info":
            connection.respond(200, dumps(self._info()), JSON)
        elif request.path == "/v1/models":
            model = {"id": MODEL, "object": "model", "created": 0, "owned_by": MODEL}
            connection.respond(200, dumps({"object": "list", "data": [model]}), JSON)
        else:
            connection.respond(404, b"", {})

    def _info(self) -> dict[str, Any]:
        return {
            "model_id": MODEL,
            "model_sha": None,
            "model_pipeline_tag": "text-generation",
            "max_concurrent_requests": self.max_concurrent_requests,
            "max_best_of": 2,
            "max_stop_sequences": self.max_stop_sequences,
            "max_input_tokens": self.max_total_tokens - 1,
            "max_total_tokens": self.max_total_tokens,
            "validation_workers": 2,
            "max_client_batch_size": 4,
            "router": "text-generation-router",
            "version": "3.3.6-dev0",
            "sha": None,
            "docker_label": None,
        }

    async def _chat(self, request: Request, connection: Connection) -> None:
        script = self.script
        try:
            chat = parsed(request.headers.get("content-type", ""), request.body)
        except Refusal as refusal:
            _refuse(connection, refusal)
            return
        if ends_the_process(chat):
            connection.break_off()
            self.has_crashed = True
            return
        prompt_tokens = len(tokens_of(templated(chat["messages"], chat.get("tools"))))
        problem = invalid(
            chat,
            prompt_tokens,
            self.max_total_tokens,
            self.max_stop_sequences,
            most_looked_at=self.most_looked_at,
        )
        if not chat.get("stream"):
            await asyncio.sleep(script.before_headers + script.before_first)
            self._whole(connection, chat, prompt_tokens, problem)
            return
        await asyncio.sleep(script.before_headers)
        connection.begin(STREAM)
        if script.overloaded or problem:
            message = "Model is overloaded" if script.overloaded else f"Input validation error: {problem}"
            connection.send(error_event(message) + DONE)
            connection.end()
            return
        tokens = self._tokens(chat, prompt_tokens)
        tail: list[bytes] = []
        if script.replayed is None and (chat.get("stream_options") or {}).get("include_usage"):
            tail = [chunk(None, usage=usage(prompt_tokens, len(tokens)))]
        await Play(request, connection, script).stream(tokens, tail)

    def _whole(self, connection: Connection, chat: dict[str, Any], prompt_tokens: int, problem: str | None) -> None:
        """Answer without streaming."""
        if self.script.overloaded:
            connection.respond(429, dumps({"error": "Model is overloaded", "error_type": "overloaded"}), JSON)
            return
        if problem:
            error = {"error": f"Input validation error: {problem}", "error_type": "validation"}
            connection.respond(422, dumps(error), JSON)
            return
        tokens, finish_reason = self._generate(chat, prompt_tokens)
        message = {"role": "assistant", "content": "".join(tokens)}
        answer = {
            "object": "chat.completion",
            "id": "",
            "created": CREATED,
            "model": MODEL,
            "system_fingerprint": FINGERPRINT,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}],
            "usage": usage(prompt_tokens, len(tokens)),
        }
        connection.respond(200, dumps(answer), JSON | {"x-generated-tokens": str(len(tokens))})

    def _tokens(self, chat: dict[str, Any], prompt_tokens: int) -> list[bytes]:
        """Return one event for each token of an answer."""
        script = self.script
        if script.replayed is not None:
            return [recorded_event(recorded) for recorded in script.replayed]
        if script.tool_call:
            return tool_events(*script.tool_call)
        tokens, finish_reason = self._generate(chat, prompt_tokens)
        return text_events(
            tokens, finish_reason, top_logprobs=(chat.get("top_logprobs") or 0) if chat.get("logprobs") else None
        )

    def _generate(self, chat: dict[str, Any], prompt_tokens: int) -> tuple[tuple[str, ...], str]:
        """Return the tokens of an answer and its finish reason; an end of its own is a token without text."""
        script = self.script
        limit = chat.get("max_tokens") or chat.get("max_completion_tokens")
        limit = given_tokens(limit, prompt_tokens, self.max_total_tokens) if limit else None
        if script.answer is not None:
            tokens = [*script.answer, ""]
        elif limit:
            tokens = list(itertools.islice(itertools.cycle(WORDS), limit + 1))
        else:
            tokens = [*itertools.islice(itertools.cycle(WORDS), script.default_tokens), ""]
        finish_reason = "length" if limit and len(tokens) > limit else "stop"
        tokens = tokens[:limit]
        for count, text in enumerate(itertools.accumulate(tokens), start=1):
            # Only where a token ends.
            if any(re.search(f"{re.escape(stop)}$", text) for stop in chat.get("stop") or []):
                return tuple(tokens[:count]), "stop_sequence"
        return tuple(tokens), finish_reason


def _refuse(connection: Connection, refusal: Refusal) -> None:
    if refusal.error_type:
        body = dumps({"error": refusal.message, "error_type": refusal.error_type})
        connection.respond(refusal.status, body, JSON)
    else:
        connection.respond(refusal.status, refusal.message.encode(), TEXT)


def _tokenized(text: str, *, special: bool = False) -> list[dict[str, Any]]:
    """Return tokens as TGI lists them; a special one at the beginning has no place in the text."""
    tokens: list[dict[str, Any]] = [{"id": 1, "text": "", "start": 0, "stop": 0}] if special else []
    start = 0
    for token in tokens_of(text):
        tokens.append({"id": 2, "text": token, "start": start, "stop": start + len(token)})
        start += len(token)
    return tokens


async def _serve(arguments: argparse.Namespace) -> None:
    script = Script(default_tokens=arguments.tokens, between=arguments.between, before_first=arguments.first)
    tgi = FakeTgi(script=script, api_key=arguments.api_key, max_total_tokens=arguments.max_total_tokens)
    async with await tgi.listen(arguments.port) as server:
        print(tgi.url, flush=True)
        await server.serve_forever()


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--tokens", type=int, default=100, help="tokens of an answer without max_tokens")
    parser.add_argument("--between", type=float, default=0, help="seconds between two tokens")
    parser.add_argument("--first", type=float, default=0, help="seconds before the first token")
    parser.add_argument("--api-key", default="")
    parser.add_argument("--max-total-tokens", type=int, default=131_072)
    uvloop.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
