"""Plain prompts: ``/v1/completions``, whole and streamed, charged as chats are."""

import json
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import openai
import pytest
from openai import OpenAI

from accounts.models import Team
from api.completions import DEFAULT_TOKENS, parse
from inference.errors import InvalidRequest
from inference.models import Endpoint, Run
from tests.api.scenes import charges
from tests.fakes.openai_server import STREAM, WORDS, FakeOpenAI
from tests.fakes.script import Play
from tests.fakes.server import Connection, Request
from tests.fakes.tgi_events import event, usage
from tests.fakes.tgi_validation import tokens_of
from tests.inference.scenes import INPUT_NANO, MODEL, OUTPUT_NANO, register

PROMPT = "Once upon a time"


@dataclass(eq=False)
class FakeContinuing(FakeOpenAI):
    """A vLLM that continues plain prompts."""

    owned_by: str = "vllm"

    async def answer(self, request: Request, connection: Connection) -> None:
        """Answer one request as the route does."""
        if request.path != "/v1/completions":
            await super().answer(request, connection)
            return
        words = WORDS[: request.json["max_tokens"]]
        reason = "length" if len(words) < len(WORDS) else "stop"
        tokens = [self._piece(word) for word in words]
        counts = event(self._written([]) | {"usage": usage(len(tokens_of(request.json["prompt"])), len(words))})
        connection.begin(STREAM)
        await Play(request, connection, self.script).stream(tokens, [self._piece("", reason), counts])

    def _piece(self, text: str, reason: str | None = None) -> bytes:
        return event(self._written([{"index": 0, "text": text, "logprobs": None, "finish_reason": reason}]))

    def _written(self, choices: list[Any]) -> dict[str, Any]:
        return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": self.model, "choices": choices}


@pytest.fixture
def continuing(engines: ExitStack) -> FakeContinuing:
    """A model that continues plain prompts."""
    server = engines.enter_context(FakeContinuing())
    register(server, Endpoint.Kind.OPENAI, upstream_model="org/model")
    return server


def prompt_of(prompt: Any) -> str | list[int]:
    return parse(json.dumps({"model": "m", "prompt": prompt}).encode()).chat.prompt


def test_a_prompt_is_a_text_or_tokens_also_in_a_list() -> None:
    assert prompt_of("a") == prompt_of(["a"]) == "a"
    assert prompt_of([1, 2]) == prompt_of([[1, 2]]) == [1, 2]
    assert parse(b'{"model": "m", "prompt": "a"}').chat.completion_limit == DEFAULT_TOKENS


@pytest.mark.parametrize("wrong", ["", [], [""], ["a", "b"], [[1], [2]], [1, "a"]])
def test_other_prompts_are_refused(wrong: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        prompt_of(wrong)
    assert refused.value.param == "prompt"


@pytest.mark.parametrize("fields", [{"n": 2}, {"best_of": 2}, {"logprobs": 1}, {"echo": True, "prompt": [1]}])
def test_what_is_not_done_is_refused_by_name(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(json.dumps({"model": "m", "prompt": "a"} | fields).encode())
    assert refused.value.param == next(iter(fields))


@pytest.mark.django_db(transaction=True)
def test_a_prompt_is_continued_and_charged(continuing: FakeContinuing, client: OpenAI, funded: Team) -> None:
    found = client.completions.create(model=MODEL, prompt=PROMPT, max_tokens=2, suffix="fox", echo=True)
    assert (found.choices[0].text, found.choices[0].finish_reason) == (PROMPT + "The quick", "length")
    assert found.usage
    tokens = len(tokens_of(PROMPT))
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (tokens, 2)
    assert charges(funded) == [tokens * INPUT_NANO + 2 * OUTPUT_NANO]
    (request,) = [each for each in continuing.requests if each.path == "/v1/completions"]
    assert (request.json["prompt"], request.json["suffix"], request.json["max_tokens"]) == (PROMPT, "fox", 2)
    assert "messages" not in request.json


@pytest.mark.django_db(transaction=True)
def test_a_continuation_is_streamed(continuing: FakeContinuing, client: OpenAI, funded: Team) -> None:
    options = {"include_usage": True}
    chunks = list(client.completions.create(model=MODEL, prompt=PROMPT, stream=True, stream_options=options))  # type: ignore[call-overload]
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "".join(WORDS)
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens == len(WORDS)
    assert len(charges(funded)) == 1


@pytest.mark.django_db(transaction=True)
def test_servers_that_may_not_know_the_address_are_not_asked(
    continuing: FakeContinuing, client: OpenAI, funded: Team
) -> None:
    continuing.owned_by = ""
    with pytest.raises(openai.BadRequestError) as refused:
        client.completions.create(model=MODEL, prompt=PROMPT)
    assert refused.value.param == "prompt"
    assert not [each for each in continuing.requests if each.path == "/v1/completions"]
    assert not Run.objects.exists()
