"""Two more engines on a real socket: a llama.cpp server, and a server that speaks OpenAI's dialect as vLLM does."""

import json
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.script import Play, Script
from tests.fakes.server import Connection, FakeServer, Request
from tests.fakes.tgi_events import CREATED, dumps, event, usage
from tests.fakes.tgi_validation import templated, tokens_of

JSON = {"content-type": "application/json; charset=utf-8"}
STREAM = {"content-type": "text/event-stream"}
WORDS = ("The", " quick", " brown", " fox")


@dataclass(eq=False)
class FakeOpenAI(FakeServer):
    """A vLLM-like server: a chunk with the role alone comes first, and usage in a chunk of its own at the end."""

    script: Script = field(default_factory=Script)
    api_key: str = ""
    model: str = "org/model"
    # Whose server it says it is: ``vllm`` and ``sglang`` can count, before and while they generate.
    owned_by: str = ""
    has_models: bool = True
    # LoRA adapters that are served beside the model.
    adapters: tuple[str, ...] = ()

    async def answer(self, request: Request, connection: Connection) -> None:
        """Answer one request as the route does."""
        if self.script.response and request.method == "POST":
            status, content_type, body = self.script.response
            connection.respond(status, body, {"content-type": content_type})
        elif self.api_key and request.headers.get("authorization") != f"Bearer {self.api_key}":
            connection.respond(401, dumps({"error": {"message": f"Wrong key, not {self.api_key}"}}), JSON)
        elif request.path == "/v1/chat/completions":
            prompt_tokens = len(tokens_of(templated(request.json["messages"])))
            tokens, tail = self.chunks(prompt_tokens)
            if request.json.get("stream_options", {}).get("continuous_usage_stats"):
                if not self.owned_by:
                    error = {"message": "Unknown parameter", "param": "stream_options.continuous_usage_stats"}
                    connection.respond(400, dumps({"error": error}), JSON)
                    return
                tokens = [_with_usage(each, prompt_tokens, count) for count, each in enumerate(tokens)]
            connection.begin(STREAM)
            await Play(request, connection, self.script).stream(tokens, tail)
        else:
            self.other(request, connection)

    def other(self, request: Request, connection: Connection) -> None:
        """Answer the smaller routes."""
        if request.path == "/v1/models" and self.has_models:
            owned_by = self.owned_by or "org"
            served = {"object": "model", "max_model_len": 8192, "owned_by": owned_by, "root": self.model}
            models = [served | {"id": self.model, "parent": None}]
            models += [
                served | {"id": adapter, "root": f"/adapters/{adapter}", "parent": self.model, "max_model_len": None}
                for adapter in self.adapters
            ]
            connection.respond(200, dumps({"object": "list", "data": models}), JSON)
        elif request.path == "/health" and self.owned_by:
            connection.respond(200, b"", {})
        elif request.path == "/get_server_info" and self.owned_by == "sglang":
            connection.respond(200, dumps({"max_running_requests": 32, "version": "0.5.6"}), JSON)
        elif request.path == "/tokenize" and self.owned_by:
            asked = request.json
            text = asked["prompt"] if "prompt" in asked else templated(asked["messages"])
            tokens = list(range(len(tokens_of(text))))
            connection.respond(200, dumps({"count": len(tokens), "max_model_len": 8192, "tokens": tokens}), JSON)
        else:
            connection.respond(404, dumps({"detail": "Not Found"}), JSON)

    def chunks(self, prompt_tokens: int) -> tuple[list[bytes], list[bytes]]:
        """Return the events of an answer, and of what follows it."""
        if self.script.replayed is not None:
            return [event(recorded) for recorded in self.script.replayed], []
        words = self.script.answer or WORDS
        events = [self.chunk({"role": "assistant", "content": ""})]
        events += [self.chunk({"content": word}) for word in words]
        events += [self.chunk({}, "stop")]
        return events, [event(self._shell([]) | {"usage": usage(prompt_tokens, len(words))})]

    def chunk(self, delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> bytes:
        """Return one event."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return event(self._shell([choice]) | more)

    def _shell(self, choices: list[Any]) -> dict[str, Any]:
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": self.model,
            "choices": choices,
        }


def _with_usage(event_bytes: bytes, prompt_tokens: int, completion_tokens: int) -> bytes:
    """Add the counts so far to an event; the first one has the role alone, and the last no token."""
    fields = json.loads(event_bytes.removeprefix(b"data: "))
    generated = completion_tokens - bool(fields["choices"][0]["finish_reason"])
    return event(fields | {"usage": usage(prompt_tokens, generated)})


@dataclass(eq=False)
class FakeLlamaCpp(FakeOpenAI):
    """A llama.cpp server: counts in every chunk, and a tokenizer."""

    cached_tokens: int = 3
    # What the chat template has a place for; None as in older servers, which do not tell.
    supports_tools: bool | None = None
    has_vision: bool | None = None

    def other(self, request: Request, connection: Connection) -> None:
        """Answer the smaller routes."""
        if request.path == "/health":
            connection.respond(200, dumps({"status": "ok"}), JSON)
        elif request.path == "/props":
            props: dict[str, Any] = {"default_generation_settings": {"n_ctx": 2048}}
            props |= {"total_slots": 4, "model_alias": self.model}
            if self.supports_tools is not None:
                props["chat_template_caps"] = {"supports_tools": self.supports_tools, "supports_system_role": True}
            if self.has_vision is not None:
                props["modalities"] = {"vision": self.has_vision, "audio": False}
            connection.respond(200, dumps(props), JSON)
        elif request.path == "/tokenize":
            tokens = list(range(len(tokens_of(request.json["content"]))))
            connection.respond(200, dumps({"tokens": tokens}), JSON)
        elif request.path == "/v1/chat/completions/input_tokens":
            count = len(tokens_of(templated(request.json["messages"])))
            connection.respond(200, dumps({"input_tokens": count}), JSON)
        else:
            super().other(request, connection)

    def chunks(self, prompt_tokens: int) -> tuple[list[bytes], list[bytes]]:
        """Return the events of an answer, and of what follows it."""
        if self.script.replayed is not None:
            return super().chunks(prompt_tokens)
        words = self.script.answer or WORDS

        def timings(generated: int) -> dict[str, int]:
            read = prompt_tokens - self.cached_tokens
            return {"cache_n": self.cached_tokens, "prompt_n": read, "predicted_n": generated}

        events = [self.chunk({"role": "assistant", "content": None}, timings=timings(1))]
        events += [self.chunk({"content": word}, timings=timings(n)) for n, word in enumerate(words, start=1)]
        events += [self.chunk({}, "stop", timings=timings(len(words) + 1))]
        return events, [event({"choices": [], "usage": usage(prompt_tokens, len(words) + 1)})]


@dataclass(eq=False)
class FakeOllama(FakeOpenAI):
    """An Ollama server: it shows a model when it is asked, and knows nothing of counts."""

    context_tokens: int | None = None
    capabilities: tuple[str, ...] = ("completion", "tools")

    def other(self, request: Request, connection: Connection) -> None:
        """Answer the smaller routes."""
        if request.path == "/api/version":
            connection.respond(200, dumps({"version": "0.13.1"}), JSON)
        elif request.path != "/api/show":
            super().other(request, connection)
        elif request.json["model"] != self.model:
            connection.respond(404, dumps({"error": f"model '{request.json['model']}' not found"}), JSON)
        else:
            parameters = 'stop                           "<|im_end|>"'
            if self.context_tokens:
                parameters += f"\nnum_ctx                        {self.context_tokens}"
            shown = {"parameters": parameters, "capabilities": self.capabilities, "model_info": {}}
            connection.respond(200, dumps(shown), JSON)
