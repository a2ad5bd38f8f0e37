"""vLLM, SGLang, Ollama and hosted providers: what each is asked, and what it tells."""

from dataclasses import dataclass
from typing import Any

import pytest

from inference.chunks import Usage
from inference.engines.base import Description, EndpointAddress, Engine
from inference.errors import EngineError, EngineUnavailable, UnsupportedParameter
from tests.fakes.openai_server import FakeOllama, FakeOpenAI
from tests.fakes.script import Script
from tests.fakes.server import Connection, Request
from tests.fakes.tgi_events import dumps
from tests.inference.clients import engine_for
from tests.inference.engines.conversation import answer, chat, final_usage, text
from tests.inference.scenes import asked


@dataclass(eq=False)
class Particular(FakeOpenAI):
    """Refuses a field that others take."""

    lacks: str = ""
    refusal: str = ""

    async def answer(self, request: Request, connection: Connection) -> None:
        """Answer one request as the route does."""
        if request.method == "POST" and self.lacks in request.json:
            connection.respond(400, dumps({"error": {"message": self.refusal}}), {"content-type": "application/json"})
        else:
            await super().answer(request, connection)


@dataclass(eq=False)
class Careless(FakeOpenAI):
    """Writes its list of models in a way of its own."""

    listing: bytes = b""

    async def answer(self, request: Request, connection: Connection) -> None:
        """Answer one request as the route does."""
        if request.path == "/v1/models":
            connection.respond(200, self.listing, {"content-type": "application/json"})
        else:
            await super().answer(request, connection)


TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


def engine_at(kind: str, url: str = "http://localhost", model: str = "org/model", credential: str = "") -> Engine:
    return engine_for(EndpointAddress(kind, url, credential, model))


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
async def test_the_first_request_goes_without_a_question_and_with_running_counts(kind: str) -> None:
    with FakeOpenAI(owned_by=kind) as server:
        chunks = await answer(engine_at(kind, server.url), chat(cache_salt="pepper"))
        (request,) = server.requests
    assert request.json["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}
    assert request.json["cache_salt"] == "pepper"
    assert (text(chunks), final_usage(chunks)) == ("The quick brown fox", Usage(8, 4))
    assert all(chunk.usage for chunk in chunks if chunk.content)


async def test_vllm_counts_prompts_and_texts() -> None:
    with FakeOpenAI(owned_by="vllm") as server:
        engine = engine_at("vllm", server.url)
        assert (await engine.count_prompt(chat()), await engine.count_text("The quick fox")) == (8, 3)
        assert [request.path for request in server.requests] == ["/tokenize", "/tokenize"]
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
        assert await engine.count_prompt(chat(messages=[{"role": "user", "content": [image]}])) is None


async def test_sglang_counts_texts_alone() -> None:
    with FakeOpenAI(owned_by="sglang") as server:
        engine = engine_at("sglang", server.url)
        assert (await engine.count_prompt(chat()), await engine.count_text("The quick fox")) == (None, 3)


@pytest.mark.parametrize(("kind", "concurrency"), [("vllm", None), ("sglang", 32)])
async def test_a_server_tells_its_context_and_its_adapters(kind: str, concurrency: int | None) -> None:
    with FakeOpenAI(owned_by=kind, adapters=("poet", "clerk")) as server:
        described = await engine_at(kind, server.url).describe()
        adapter = await engine_at(kind, server.url, "poet").describe()
    assert described == Description("org/model", 8192, concurrency, adapters=("poet", "clerk"), server=kind)
    assert adapter.model == "poet"


@pytest.mark.parametrize(
    "listing",
    [
        b'[{"id": "org/model", "max_model_len": 4096, "owned_by": "vllm"}]',
        b'{"data": ["x", null, {"id": 7}, {"id": "org/model", "max_model_len": "4096", "owned_by": "vllm"}]}',
        b'{"data": [{"id": "org/model", "max_model_len": 4096.0, "owned_by": "vllm", "cost": NaN}]}',
        b'{"data": [{"id": "x", "max_model_len": 1e400, "owned_by": ["x"], "parent": {}},'
        b'{"id": "org/model", "max_model_len": 4096, "owned_by": "vllm", "created": "today"}], "object": 1}',
    ],
)
async def test_a_list_of_models_is_read_however_it_is_written(listing: bytes) -> None:
    with Careless(listing=listing, owned_by="vllm") as server:
        engine = engine_at("openai", server.url)
        assert await engine.describe() == Description("org/model", 4096, server="vllm")
        assert await engine.count_text("The quick fox") == 3


@pytest.mark.parametrize("listing", [b'{"data": {}}', b"[]", b'[{"id": "org/model", "max_model_len": -1}]'])
async def test_a_list_without_a_context_tells_none(listing: bytes) -> None:
    with Careless(listing=listing) as server:
        assert (await engine_at("openai", server.url).describe()).context_tokens is None


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
async def test_health_is_asked_where_the_engine_itself_answers(kind: str) -> None:
    with FakeOpenAI(owned_by=kind) as server:
        assert await engine_at(kind, server.url).is_healthy()
        assert [request.path for request in server.requests] == ["/health"]


async def test_ollama_shows_what_a_model_can_do() -> None:
    with FakeOllama(context_tokens=16384, capabilities=("completion", "vision", "tools")) as server:
        engine = engine_at("ollama", server.url)
        described = await engine.describe()
        assert await engine.is_healthy()
    assert described == Description("org/model", 16384, None, None, ("text", "image"), ("tools",))
    with FakeOllama(capabilities=()) as server:
        assert await engine_at("ollama", server.url).describe() == Description("org/model", modalities=("text",))
        with pytest.raises(EngineUnavailable) as raised:
            await engine_at("ollama", server.url, "org/other").describe()
    assert "/api/show answered 404" in raised.value.details


async def test_ollama_is_not_sent_what_it_would_leave_out() -> None:
    for fields in ({"tool_choice": "none"}, {"tool_choice": "auto", "parallel_tool_calls": True}):
        with FakeOllama() as server:
            await answer(engine_at("ollama", server.url), chat(tools=[TOOL], **fields))
            (request,) = server.requests
        assert ("tools" in request.json) == (fields["tool_choice"] == "auto")
        assert not {"tool_choice", "parallel_tool_calls"} & set(request.json)


@pytest.mark.parametrize(
    ("fields", "param"), [({"tools": [TOOL], "tool_choice": "required"}, "tool_choice"), ({"top_k": 4}, "top_k")]
)
def test_what_ollama_would_leave_out_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as raised:
        engine_at("ollama").check(chat(**fields))
    assert raised.value.param == param


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("", "/v1/chat/completions"),
        ("/gateway", "/gateway/v1/chat/completions"),
        ("/openai/v1", "/openai/v1/chat/completions"),
        ("/v1beta/openai", "/v1beta/openai/chat/completions"),
        ("/v1beta/openai/", "/v1beta/openai/chat/completions"),
        ("/api/paas/v4", "/api/paas/v4/chat/completions"),
    ],
)
def test_an_address_with_a_version_in_it_is_whole(base: str, path: str) -> None:
    request = engine_at("openai", f"https://models.example{base}").request(chat(), None)
    assert request.url == f"https://models.example{path}"


@pytest.mark.parametrize(
    ("refusal", "field", "arriving"),
    [
        (
            "Unsupported parameter: 'max_tokens' is not supported here. Use 'max_completion_tokens' instead.",
            "max_tokens",
            {"max_completion_tokens": 9, "stream_options": {"include_usage": True}},
        ),
        ("Unrecognized request argument supplied: stream_options", "stream_options", {"max_tokens": 9}),
        ("stream_options: Extra inputs are not permitted", "stream_options", {"max_tokens": 9}),
    ],
)
async def test_what_a_provider_does_without_is_learned_once(refusal: str, field: str, arriving: dict[str, Any]) -> None:
    with Particular(lacks=field, refusal=refusal) as server:
        engine = engine_at("openai", server.url)
        # The caller hears nothing of it.
        assert text(await answer(engine, chat(max_tokens=9))) == "The quick brown fox"
        await answer(engine, chat(max_tokens=9))
        found_out, again, later = (each.json for each in asked(server))
    assert field in found_out
    assert again == later
    assert {name: again[name] for name in arriving} == arriving
    assert field not in again


async def test_a_limit_that_is_too_high_teaches_nothing() -> None:
    refusal = dumps(
        {"error": {"message": "max_tokens or max_completion_tokens is too large: 9", "param": "max_tokens"}}
    )
    with FakeOpenAI(script=Script(response=(400, "application/json", refusal))) as server:
        engine = engine_at("openai", server.url)
        for _ in range(2):
            with pytest.raises(EngineError) as raised:
                await answer(engine, chat(max_tokens=9))
            assert raised.value.param == "max_tokens"
        assert server.requests[-1].json["max_tokens"] == 9


@pytest.mark.parametrize(
    ("response", "words"),
    [
        ((401, "application/json", b'{"error": "Not this: pass-word"}'), 'answered 401: {"error": "Not this: …"}'),
        (
            (200, "text/html", b"\n <html>\x1b[31m Hello\nmore"),
            "answered 200, but not what was asked for: <html>\ufffd[31m",
        ),
        ((503, "text/plain", b""), "answered 503: nothing"),
    ],
)
async def test_a_failed_question_tells_what_was_answered(response: tuple[int, str, bytes], words: str) -> None:
    with FakeOpenAI(script=Script(response=response)) as server, pytest.raises(EngineError) as raised:
        await engine_at("vllm", server.url, credential="pass-word").count_text("a")
    assert words in raised.value.details
    assert raised.value.details.startswith(f"POST {server.url}/tokenize ")
    assert "pass-word" not in raised.value.message


async def test_a_server_that_is_not_there_is_told_apart() -> None:
    with pytest.raises(EngineError) as raised:
        await engine_at("vllm", "http://127.0.0.1:9").describe()
    assert raised.value.details == "GET http://127.0.0.1:9/v1/models: no connection, or it broke off"


def test_what_is_remembered_of_prompts_is_kept_apart_by_salt() -> None:
    for kind in ("vllm", "sglang"):
        engine = engine_at(kind)
        salts = [engine.salted(chat(**own), salt).cache_salt for own in ({}, {"cache_salt": "x"}) for salt in "ab"]
        assert len({*salts, None, "x"}) == 6
        assert engine.salted(chat(), "a").cache_salt == salts[0]
    for kind in ("tgi", "llamacpp", "ollama", "openai"):
        assert engine_at(kind).salted(chat(), "a").cache_salt is None


@pytest.mark.parametrize(
    ("status", "body", "details"),
    [
        (500, {"error": {"message": "hello broke it", "type": "InternalServerError"}}, "500 (InternalServerError)"),
        (424, {"error": "Request failed during generation: hello", "error_type": "generation"}, "424 (generation)"),
        (429, {"error": {"type": "hello to you"}}, "429"),
        (502, "hello", "502"),
    ],
)
async def test_a_failed_answer_tells_its_status_and_nothing_of_the_prompt(status: int, body: Any, details: str) -> None:
    script = Script(response=(status, "application/json", dumps(body)))
    with FakeOpenAI(script=script) as server, pytest.raises(EngineError) as raised:
        await answer(engine_at("vllm", server.url))
    assert raised.value.details == f"it answered {details}"
