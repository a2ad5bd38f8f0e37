"""Vectors of texts: ``/v1/embeddings`` in OpenAI's shape, held for, charged by what was read, and told by a receipt."""

import json
from contextlib import ExitStack
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI

from accounts.models import Team
from api.embeddings import parse
from inference.chat import Embedding
from inference.errors import InvalidRequest
from inference.models import Endpoint, Model, Run
from tests.api.scenes import charges
from tests.fakes.reader import FakeReader
from tests.fakes.tgi_validation import tokens_of
from tests.inference.scenes import INPUT_NANO, MODEL, register

TEXTS = ["The quick fox", "jumps over the lazy dog"]


def asked(**fields: Any) -> Embedding:
    task = parse(json.dumps({"model": "m", "input": "hi"} | fields).encode()).chat.task
    assert isinstance(task, Embedding)
    return task


@pytest.fixture
def reader(engines: ExitStack) -> FakeReader:
    """A model for embeddings and ranking."""
    server = engines.enter_context(FakeReader())
    register(server, Endpoint.Kind.OPENAI, upstream_model="org/model")
    Model.objects.update(features=["embeddings", "rerank"])
    return server


def test_an_input_is_a_text_or_tokens_or_several_of_either() -> None:
    assert asked().inputs == ["hi"]
    assert asked(input=["a", "b"]).inputs == ["a", "b"]
    assert asked(input=[1, 2]).inputs == [[1, 2]]
    assert asked(input=[[1], [2, 3]]).inputs == [[1], [2, 3]]


@pytest.mark.parametrize(
    ("wrong", "param"),
    [([], "input"), ("", "input[0]"), (["a", ""], "input[1]"), (["a", 1], "input[1]"), ([1, "a"], "input")],
)
def test_other_inputs_are_refused_by_name(wrong: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        asked(input=wrong)
    assert refused.value.param == param


@pytest.mark.django_db(transaction=True)
def test_each_text_has_a_vector_and_what_was_read_is_charged(
    reader: FakeReader, client: OpenAI, raw: httpx2.Client, funded: Team
) -> None:
    # The official client asks for base64 of itself.
    found = client.embeddings.create(model=MODEL, input=TEXTS)
    assert [each.embedding for each in found.data] == [[13.0, 0.0], [23.0, 1.0]]
    tokens = sum(len(tokens_of(text)) for text in TEXTS)
    assert (found.usage.prompt_tokens, found.usage.total_tokens) == (tokens, tokens)
    assert charges(funded) == [tokens * INPUT_NANO]
    (run,) = Run.objects.all()
    assert (run.prompt_tokens, run.delivered_tokens, run.counting, run.ending) == (tokens, 0, "engine", "stop")
    (receipt,) = raw.get("/v1/receipts").json()["data"]
    assert (receipt["usage"]["prompt_tokens"], receipt["usage"]["completion_tokens"]) == (tokens, 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("knows_base64", [True, False])
def test_vectors_are_written_as_they_are_wanted(
    reader: FakeReader, client: OpenAI, funded: Team, knows_base64: bool
) -> None:
    reader.knows_base64 = knows_base64
    for encoding in ("float", "base64"):
        found = client.embeddings.create(model=MODEL, input="hello", encoding_format=encoding, dimensions=1)
        assert found.data[0].embedding == [5.0] if encoding == "float" else "AACgQA=="


@pytest.mark.django_db(transaction=True)
def test_what_an_engine_does_not_count_is_estimated(reader: FakeReader, client: OpenAI, funded: Team) -> None:
    reader.tells_usage = False
    found = client.embeddings.create(model=MODEL, input=["a" * 40, "b" * 40])
    assert found.usage.prompt_tokens == 20
    assert Run.objects.get().counting == "estimate"


@pytest.mark.django_db(transaction=True)
def test_an_answer_without_a_vector_for_each_text_is_a_failure_and_free(
    reader: FakeReader, client: OpenAI, funded: Team
) -> None:
    reader.script.response = (200, "application/json", b'{"data":[{"index":1,"embedding":[1.0]}]}')
    with pytest.raises(openai.InternalServerError):
        client.embeddings.create(model=MODEL, input="hello")
    assert charges(funded) == []


@pytest.mark.django_db(transaction=True)
def test_a_model_chats_or_makes_vectors_and_says_which(reader: FakeReader, client: OpenAI, funded: Team) -> None:
    register(reader, Endpoint.Kind.OPENAI, model_id="other/chats", upstream_model="org/model")
    with pytest.raises(openai.BadRequestError, match="embeddings and rerank alone") as refused:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hello"}])
    assert refused.value.param == "model"
    with pytest.raises(openai.BadRequestError, match="not one for embeddings"):
        client.embeddings.create(model="other/chats", input="hello")
    assert not Run.objects.exists()
    assert charges(funded) == []


@pytest.mark.django_db(transaction=True)
def test_a_repeated_key_gets_the_same_vectors_charged_once(
    reader: FakeReader, raw: httpx2.Client, funded: Team
) -> None:
    body, head = {"model": MODEL, "input": TEXTS}, {"Idempotency-Key": "once"}
    first, second = (raw.post("/v1/embeddings", json=body, headers=head) for _ in range(2))
    assert first.status_code == second.status_code == 200, second.text
    assert first.json()["data"] == second.json()["data"]
    assert (second.headers["idempotent-replayed"], len(charges(funded))) == ("true", 1)


@pytest.mark.django_db(transaction=True)
def test_credits_are_held_before_anything_is_read(reader: FakeReader, client: OpenAI, team: Team) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        client.embeddings.create(model=MODEL, input="hello")
    assert (refused.value.status_code, refused.value.code) == (402, "insufficient_quota")
    assert not [request for request in reader.requests if request.path == "/v1/embeddings"]


@pytest.mark.django_db(transaction=True)
def test_documents_are_ranked_by_a_query(reader: FakeReader, raw: httpx2.Client, funded: Team) -> None:
    documents = ["a lazy dog", {"text": "the quick fox"}, "a quick dog"]
    body = {"model": MODEL, "query": "quick fox", "documents": documents, "top_n": 2, "return_documents": True}
    answered = raw.post("/v1/rerank", json=body)
    assert answered.status_code == 200, answered.text
    assert answered.json()["results"] == [
        {"index": 1, "relevance_score": 1.0, "document": {"text": "the quick fox"}},
        {"index": 2, "relevance_score": 0.5, "document": {"text": "a quick dog"}},
    ]
    assert charges(funded) == [answered.json()["usage"]["total_tokens"] * INPUT_NANO]
    assert raw.post("/v1/rerank", json=body | {"documents": []}).json()["error"]["param"] == "documents"
