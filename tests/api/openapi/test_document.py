"""The OpenAPI document says what there is under /v1, and nothing else."""

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import msgspec
import pytest
from django.urls import URLPattern, URLResolver

from accounts.models import Team
from api.openapi import shapes
from api.openapi.document import document
from api.openapi.operations import OPERATIONS, Operation
from api.routing import http_urlpatterns
from api.urls import urlpatterns
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import MODEL

ASKED = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}


def served() -> list[str]:
    """Return each address that is served, but for the one that answers for all others."""
    resources = [f"/v1/{_address(pattern)}" for pattern in urlpatterns if str(pattern.pattern)]
    return [*resources, *(f"/{_address(pattern)}" for pattern in http_urlpatterns)]


def _address(pattern: URLPattern | URLResolver) -> str:
    return re.sub(r"<\w+:(\w+)>", r"{\1}", str(pattern.pattern))


def references(schema: Any) -> Iterator[str]:
    """Yield every reference inside of a schema."""
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for value in schema.values():
            yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)


def operation(name: str) -> Operation:
    return next(each for each in OPERATIONS if each.name == name)


def fits(name: str, response: httpx2.Response) -> Any:
    """Return what a response is read as, which has to be as the document says."""
    assert response.status_code in operation(name).answers, response.text
    kinds = operation(name).answers[response.status_code]
    for kind in kinds[:-1]:
        try:
            return msgspec.json.decode(response.content, type=kind)
        except msgspec.ValidationError:
            continue
    return msgspec.json.decode(response.content, type=kinds[-1])


def test_every_address_that_is_served_is_in_the_document_and_no_other() -> None:
    assert sorted(served()) == sorted({each.path for each in OPERATIONS})
    names = [each.name for each in OPERATIONS]
    assert len(set(names)) == len(names)


@pytest.mark.django_db(transaction=True)
def test_every_method_that_is_served_is_in_the_document_and_no_other(raw: httpx2.Client) -> None:
    for path in {each.path for each in OPERATIONS}:
        known = {each.method for each in OPERATIONS if each.path == path}
        found = {
            method
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
            if raw.request(method, re.sub(r"{\w+}", "x", path)).status_code != 405
        }
        assert found == known, path


def test_every_reference_leads_somewhere_and_every_part_of_an_address_is_a_parameter() -> None:
    written = document()
    known = {f"#/components/schemas/{name}" for name in written["components"]["schemas"]}
    assert set(references(written)) <= known
    assert {reference.rpartition("/")[2] for reference in known} >= {"Chat", "ResponseRequest", "MessagesRequest"}
    for each in OPERATIONS:
        inside = set(re.findall(r"{(\w+)}", each.path))
        assert inside == {parameter.name for parameter in each.parameters if parameter.place == "path"}, each.path


def test_patterns_end_as_json_schema_wants_them() -> None:
    name = document()["components"]["schemas"]["Function"]["properties"]["name"]
    assert name["pattern"] == "^[a-zA-Z0-9_-]{1,64}$"


@pytest.mark.django_db(transaction=True)
def test_the_document_is_for_everybody(raw: httpx2.Client, settings: Any) -> None:
    answered = raw.get("/v1/openapi.json", headers={"Authorization": ""})
    assert answered.status_code == 200, answered.text
    assert answered.json()["openapi"] == "3.1.0"
    assert answered.json()["servers"] == [{"url": settings.PUBLIC_URL}]


@pytest.mark.django_db(transaction=True)
def test_answers_are_as_the_document_says(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    chat = raw.post("/v1/chat/completions", json=ASKED)
    fits("createChatCompletion", chat)
    streamed = raw.post("/v1/chat/completions", json=ASKED | {"stream": True})
    events = [line.removeprefix("data: ") for line in streamed.text.splitlines() if line]
    assert events.pop() == "[DONE]"
    for event in events:
        msgspec.json.decode(event, type=shapes.ChatCompletionChunk)
    response = fits("createResponse", raw.post("/v1/responses", json={"model": MODEL, "input": "hello"}))
    fits("getResponse", raw.get(f"/v1/responses/{response.id}"))
    fits("listInputItems", raw.get(f"/v1/responses/{response.id}/input_items"))
    fits("countResponseInput", raw.post("/v1/responses/input_tokens", json={"model": MODEL, "input": "hello"}))
    fits("deleteResponse", raw.request("DELETE", f"/v1/responses/{response.id}"))
    fits("createMessage", raw.post("/v1/messages", json=ASKED | {"max_tokens": 9}))
    fits("countMessageTokens", raw.post("/v1/messages/count_tokens", json=ASKED))
    for headers in ({}, {"anthropic-version": "2023-06-01"}):
        fits("listModels", raw.get("/v1/models", headers=headers))
        fits("getModel", raw.get(f"/v1/models/{MODEL}", headers=headers))
    fits("listReceipts", raw.get("/v1/receipts"))
    fits("getReceipt", raw.get(f"/v1/receipts/{chat.headers['x-request-id']}"))
    fits("listUsage", raw.get("/v1/usage", params={"group_by": "day,model,project,key"}))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("each", [each for each in OPERATIONS if not each.is_open], ids=lambda each: each.name)
def test_refusals_are_as_the_document_says(raw: httpx2.Client, each: Operation) -> None:
    refused = raw.request(each.method, re.sub(r"{\w+}", "x", each.path), headers={"Authorization": "Bearer no"})
    assert refused.status_code == 401
    msgspec.json.decode(refused.content, type=each.error)
